/// <reference types="node" />

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Code } from "./facts.js";

export type { Code };

/** A plain object or an array, which becomes JSON. It is not a promise: await it first. */
export type Json =
  Readonly<Record<string, unknown>> | readonly unknown[] | (object & { readonly then?: never });

/** A body as a program gives it: bytes, text, nothing, or a plain object or an array, as JSON. */
export type Body = Uint8Array | ArrayBuffer | string | null | undefined | Json;

/**
 * Metadata as a program gives them: pairs, where a name may come more than once, or an object whose
 * values may be lists. Names become lower case.
 */
export type Pairs =
  | Iterable<readonly [name: string, value: string | Uint8Array]>
  | Readonly<Record<string, string | number | Uint8Array | readonly (string | Uint8Array)[]>>;

/** Ordered pairs of names and values. A lookup ignores case. */
export class Metadata implements Iterable<[name: string, value: string]> {
  constructor(pairs?: Pairs);
  /** The first value of a name. */
  get(name: string): string | undefined;
  /** All values of a name, in their order. */
  getAll(name: string): string[];
  /** Whether there is such a name. */
  has(name: string): boolean;
  /** All pairs, in their order. */
  entries(): IterableIterator<[name: string, value: string]>;
  [Symbol.iterator](): IterableIterator<[name: string, value: string]>;
}

/** The answer to a call. A handler that returns it passes it on with its metadata. */
export class Answer {
  private constructor();
  /** The body. */
  readonly body: Buffer;
  /** The metadata. */
  readonly metadata: Metadata;
  /**
   * The HTTP status; 200 if the function set none, or one that is not a number. A call that was
   * answered with any HTTP status has succeeded.
   */
  readonly status: number;
  /** Whether the HTTP status is from 200 to 299. */
  readonly ok: boolean;
  /** The body as text. */
  text(): string;
  /** The body, decoded as JSON. Throws a `SyntaxError` if it is not JSON. */
  json<T = unknown>(): T;
  /** Returns the answer. Throws a {@link HttpStatusError} if the HTTP status is 400 or more. */
  throwForStatus(): this;
}

/** The options of a reply. */
export interface ReplyOptions {
  /** The HTTP status, an integer from 200 to 599. It replaces a `:status` in `metadata`. */
  status?: number;
  /** Metadata of the reply, which become headers of an HTTP response. */
  metadata?: Pairs;
  /** @deprecated The old name of `metadata`. */
  headers?: Pairs;
  /** A value that is sent as JSON in place of a body. */
  json?: unknown;
}

/**
 * A reply with an HTTP status and metadata, for a handler to return. The constructor throws a
 * {@link NightcoreError} INVALID_ARGUMENT if the status is not an integer from 200 to 599.
 */
export class Reply {
  constructor(body?: Body, options?: ReplyOptions);
  /** The body as it is sent. */
  readonly body: Uint8Array;
}

/** The options of a call. */
export interface CallOptions {
  /** A value that is sent as JSON in place of a body. */
  json?: unknown;
  /** Metadata for the called function. */
  metadata?: Pairs;
  /** Cancels the call, and all calls below it, when it aborts. */
  signal?: AbortSignal;
  /**
   * Milliseconds after which the call ends with DEADLINE_EXCEEDED, more than 0. It can only shorten
   * the deadline of the request.
   */
  timeout?: number;
}

/** A request that a handler answers. */
export interface NightcoreRequest {
  /** The body. */
  readonly body: Buffer;
  /** The name of the called function. */
  readonly function: string;
  /** The name of the calling function; undefined if a client called by the gateway. */
  readonly caller: string | undefined;
  /**
   * The call id: 16 hexadecimal digits. All calls below this one have the same id. The client gets
   * it in the header `X-Nightcore-Call`.
   */
  readonly id: string;
  /**
   * Writes what `console.log` would to the function's log, by standard error. Each line has the
   * call id.
   */
  log(...what: unknown[]): void;
  /** The metadata; of an HTTP request `:method`, `:prefix`, `:path`, `:query` and its headers. */
  readonly metadata: Metadata;
  /** Milliseconds until the deadline; Infinity if there is no deadline. */
  readonly timeLeft: number;
  /**
   * Aborts when the request is cancelled. Its reason is a {@link NightcoreError}: DEADLINE_EXCEEDED
   * if the deadline has passed, CANCELLED if the caller has left.
   */
  readonly signal: AbortSignal;
  /** The body as text. */
  text(): string;
  /**
   * The body, decoded as JSON. If it is not JSON it throws: an {@link HttpError} with the HTTP
   * status 400 if a client sent it, and a `SyntaxError` if a function sent it.
   */
  json<T = unknown>(): T;
  /**
   * Calls a function and resolves to its answer. A process can have 1024 calls under way at once.
   * Rejects with a {@link NightcoreError} if the call fails.
   */
  call(name: string, body?: Body, options?: CallOptions): Promise<Answer>;
  /** A reply with an HTTP status and metadata, for the handler to return. */
  reply(body?: Body, options?: ReplyOptions): Reply;
  /**
   * Lets the process end only when this promise is settled, or when `stop_timeout` has passed, for
   * work that goes on after the reply. If the promise rejects, the error is logged.
   */
  waitUntil(promise: Promise<unknown>): void;
}

/** @deprecated The old name of {@link NightcoreRequest}, which hides the `Request` of `fetch`. */
export type Request = NightcoreRequest;

/** A value that a handler may return. */
export type Returned = Body | Answer | Reply;

/**
 * The code of a function. What it returns, or resolves to, is the reply. A {@link HttpError} that
 * it throws is a reply, too; any other error fails the call: see {@link NightcoreError}.
 */
export type Handler = (request: NightcoreRequest) => Returned | Promise<Returned>;

/** The error of a called function that led to a {@link NightcoreError}. */
export interface Cause {
  readonly function: string;
  readonly code: Code;
  readonly message: string;
}

/** Details of a {@link NightcoreError}. */
export interface ErrorOptions {
  function?: string;
  causes?: readonly Cause[];
}

/**
 * A failed call. A handler throws one to fail with a message for its callers:
 * `throw new NightcoreError("FUNCTION_FAILED", "no such user")`. If a handler does not catch the
 * error of a call, its own call fails with FUNCTION_FAILED, and `causes` names the error.
 *
 * The message of any other error may hold secrets. It goes to the function's log with the stack,
 * and callers get the call id by which to find it there. With `expose_errors = true` callers get
 * the message.
 */
export class NightcoreError extends Error {
  constructor(code: Code, message: string, options?: ErrorOptions);
  /**
   * The status of the failed call; INVALID_STATE if the request has ended, INVALID_ARGUMENT if an
   * argument cannot be used.
   */
  readonly code: Code | "INVALID_STATE" | "INVALID_ARGUMENT";
  /** The called function; empty if the error is the library's own. */
  readonly function: string;
  /** The errors of called functions that led to this one, the nearest first. */
  readonly causes: readonly Cause[];
}

/**
 * Ends a request with a reply of this HTTP status. A handler throws it:
 * `throw new HttpError(404, "no such user")`. The caller gets an answer, not a failed call, and
 * nothing is written to the log. Text is sent as `text/plain; charset=utf-8`. The constructor
 * throws a {@link NightcoreError} INVALID_ARGUMENT if the status is not an integer from 400 to 599.
 */
export class HttpError extends Error {
  constructor(status: number, body?: Body, options?: { metadata?: Pairs; cause?: unknown });
  /** The HTTP status of the reply. */
  readonly status: number;
  /** The body of the reply. */
  readonly body: Body;
  /** The metadata of the reply. */
  readonly metadata: Pairs | undefined;
}

/**
 * A called function answered with an HTTP status of 400 or more; {@link Answer.throwForStatus}
 * throws it. Its code is FUNCTION_FAILED. A handler that does not catch it fails as with any error
 * of a call: it does not reply with the HTTP status of the answer.
 */
export class HttpStatusError extends NightcoreError {
  constructor(message: string, options: ErrorOptions & { answer: Answer });
  /** The answer, with its HTTP status, its metadata and its body. */
  readonly answer: Answer;
}

/**
 * Runs the function that Nightcore started this process for, in Node's event loop. Requests come
 * from now on, so await all that handlers need before. `handlers` maps the names of functions to
 * handlers; a single handler is used for the function of this process, whatever its name. Resolves
 * when the engine ends the process, which then ends when nothing else keeps it alive. If Nightcore
 * did not start this process, `serve` prints why it cannot serve and exits with 2.
 */
export function serve(handlers: Handler | Readonly<Record<string, Handler>>): Promise<void>;

/**
 * Calls a function outside of any request, for example from a timer, once this process serves. The
 * call belongs to no request, so the end of a request does not cancel it. Its deadline is the
 * timeout of the called function, or `timeout` if that is less. It keeps the process alive. Rejects
 * with a {@link NightcoreError} if the call fails; INVALID_STATE if the process does not serve.
 */
export function call(name: string, body?: Body, options?: CallOptions): Promise<Answer>;

declare module "http" {
  interface IncomingMessage {
    /**
     * The request that a listener of `httpHandler` serves. A server of the program's own does not
     * set it.
     */
    nightcore: NightcoreRequest;
    /**
     * The path that leads to the function: its route, or `/function/NAME`. It is not in `url`. A
     * server of one's own does not set it.
     */
    nightcorePrefix: string;
  }
}

/** @deprecated An `IncomingMessage` of `node:http` has the same properties. */
export type HttpRequest = IncomingMessage;

/** A listener as `http.createServer` takes it. */
export type HttpListener = (req: IncomingMessage, res: ServerResponse) => unknown;

/**
 * Makes a handler of an HTTP listener, such as an Express app, `fastify.routing`, or a listener of
 * `http.createServer`. `req.nightcore` is the request. A response is sent as a whole when it is
 * complete, and is limited by `max_body`. Upgrades are not supported. The client's address is
 * unknown.
 */
export function httpHandler(listener: HttpListener): Handler;

/** @deprecated The old name of {@link httpHandler}. */
export function http(listener: HttpListener): Handler;
