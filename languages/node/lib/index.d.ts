/// <reference types="node" />

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Code } from "./facts.js";

export type { Code };

/** A body as it is given: bytes, text, nothing, or a list of these, one after the other. */
export type Body = Uint8Array | ArrayBuffer | string | null | undefined | readonly Body[];

/**
 * Metadata as they are given: pairs, where a name may come more than once, or an object whose values may be lists.
 * Names are written in lower case.
 */
export type Pairs =
  | Iterable<readonly [name: string, value: string | Uint8Array]>
  | Readonly<Record<string, string | number | Uint8Array | readonly (string | Uint8Array)[]>>;

/** Ordered pairs of a name and a value. Looking up a name does not ask for its case. */
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

/** What a called function answered. A handler that returns it hands it on whole. */
export class Answer {
  private constructor();
  /** The body. */
  readonly body: Buffer;
  /** The answer's headers. */
  readonly metadata: Metadata;
  /** The HTTP status that the function chose; 200 if it chose none. Whatever it is, the call went well. */
  readonly status: number;
  /** The body as text. */
  text(): string;
  /** The body, decoded. */
  json<T = unknown>(): T;
}

/** What a reply has beside its body. */
export interface ReplyOptions {
  /** The HTTP status, 200 to 599. */
  status?: number;
  /** Headers. */
  headers?: Pairs;
  /** The body, to be encoded; instead of a body. */
  json?: unknown;
}

/** An answer with an HTTP status and headers, for a handler to return. */
export class Reply {
  constructor(body?: Body, options?: ReplyOptions);
  /** The body. */
  readonly body: Uint8Array;
}

/** What may be said about a call beside its body. */
export interface CallOptions {
  /** The body, to be encoded; instead of a body. */
  json?: unknown;
  /** Metadata for the function that is called. */
  metadata?: Pairs;
  /** Cancels the call, and all that it has called, when it aborts. */
  signal?: AbortSignal;
  /** Ends the call if it takes longer, in ms, more than 0; the request's own deadline holds in any case. */
  timeout?: number;
}

/** A call that a handler runs. */
export interface Request {
  /** The body. */
  readonly body: Buffer;
  /** The name that was called. */
  readonly function: string;
  /** The function that made the call; undefined if it came from outside, by the gateway. */
  readonly caller: string | undefined;
  /**
   * The id of the call, 16 hexadecimal digits, which all calls below it have as well; its client has it in the header
   * `X-Nightcore-Call`.
   */
  readonly id: string;
  /**
   * Writes what `console.log` would to standard error, from where it comes to the function's log, each line with the id of
   * the call.
   */
  log(...what: unknown[]): void;
  /** What came beside the body; of a request over HTTP `:method`, `:prefix`, `:path`, `:query` and its headers. */
  readonly metadata: Metadata;
  /** Milliseconds until the deadline; Infinity if there is none. */
  readonly timeLeft: number;
  /** Aborts when nobody waits for the answer any more: the caller has left, or the deadline has passed. */
  readonly signal: AbortSignal;
  /** The body as text. */
  text(): string;
  /** The body, decoded. */
  json<T = unknown>(): T;
  /**
   * Calls a function and waits for its answer; any number at once, up to 1024 in a process. Rejects with a
   * {@link NightcoreError} if there is none.
   */
  call(name: string, body?: Body, options?: CallOptions): Promise<Answer>;
  /** An answer with an HTTP status and headers, to be returned. */
  reply(body?: Body, options?: ReplyOptions): Reply;
  /**
   * Has the end of the process wait for work that goes on after the answer: `serve` resolves when it is done, or when the
   * function's `stop_timeout` has passed. If it rejects, that is logged.
   */
  waitUntil(promise: Promise<unknown>): void;
}

/** What a handler may return. */
export type Returned = Body | Answer | Reply;

/**
 * A function's code. What it returns, or resolves to, is the answer; what it throws fails the call: see
 * {@link NightcoreError}.
 */
export type Handler = (request: Request) => Returned | Promise<Returned>;

/** An error of a function that its caller let pass. */
export interface Cause {
  readonly function: string;
  readonly code: Code;
  readonly message: string;
}

/**
 * Why a call got no answer, or why a handler fails. A handler that throws one, or lets it pass, hands it on with its
 * causes: `throw new NightcoreError("FUNCTION_FAILED", "no such user")` tells callers the message. That of any other
 * error was not written for them: it goes to the function's log, with the stack, and callers are told the id by which
 * it is found there. A function with `expose_errors = true` tells it to them.
 */
export class NightcoreError extends Error {
  constructor(code: Code, message: string, options?: { function?: string; causes?: readonly Cause[] });
  /** How the call failed; "INVALID_STATE" if its request has ended, "INVALID_ARGUMENT" if an argument cannot be used. */
  readonly code: Code | "INVALID_STATE" | "INVALID_ARGUMENT";
  /** The function that was called; empty if the error is the library's own. */
  readonly function: string;
  /** The errors of functions beneath that led to it, the nearest first. */
  readonly causes: readonly Cause[];
}

/**
 * Runs the function that Nightcore started this process for, in Node's event loop, until the engine ends the process:
 * then it resolves, and the process ends as soon as nothing else keeps it alive. Requests come from now on, so all that
 * they need must be there: await it before. `handlers` has them by their names; a single one is that of the function,
 * whatever its name. If the process was started wrongly, such as not by Nightcore, it says why and exits with 2.
 */
export function serve(handlers: Handler | Readonly<Record<string, Handler>>): Promise<void>;

/**
 * Calls a function outside of any request, such as from a timer, once this process serves: also while `serve` waits for
 * the end of work that goes on. The call has no request above it: the end of a request does not cancel it, and its
 * deadline is the function's own timeout, or `timeout`. It keeps the process alive. Rejects with a
 * {@link NightcoreError} if there is no answer, with the code "INVALID_STATE" if the process does not serve.
 */
export function call(name: string, body?: Body, options?: CallOptions): Promise<Answer>;

/** An HTTP request that is a call; what leads to the function is left out of `url`. */
export interface HttpRequest extends IncomingMessage {
  /** The call. */
  nightcore: Request;
  /** What leads to the function: `/function/NAME`, or its route. */
  nightcorePrefix: string;
}

/**
 * A handler that serves an HTTP listener, such as an Express app, `fastify.routing`, or what `http.createServer` takes.
 * Responses are collected and sent whole, up to the limit for bodies; upgrades are not served; the client's address is
 * not known.
 */
export function http(listener: (req: IncomingMessage, res: ServerResponse) => unknown): Handler;
