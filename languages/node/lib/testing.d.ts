import type { Answer, Handler, Metadata, Pairs, Body, Returned } from "./index.js";

/** A call that the handler under test makes. */
export interface Call {
  readonly function: string;
  readonly body: Buffer;
  readonly metadata: Metadata;
  /** Milliseconds. */
  readonly timeout: number | undefined;
}

/** The request of a test. */
export interface Options {
  /**
   * Answers the handler's calls; an error that it throws fails the call. Without it each call fails
   * with NOT_FOUND.
   */
  call?: (call: Call) => Returned | Promise<Returned>;
  /** The name of the called function. */
  function?: string;
  /** The name of the calling function. */
  caller?: string;
  metadata?: Pairs;
  /** Milliseconds until the deadline. The request is not cancelled when they have passed. */
  timeLeft?: number;
  /** Cancels the request when it aborts. */
  signal?: AbortSignal;
}

/**
 * Runs a handler without an engine and resolves to its answer, after all that it has given to
 * `waitUntil`. Rejects with the error of the handler, or else of what it has given to `waitUntil`;
 * an HttpError is an answer.
 */
export function run(handler: Handler, body?: Body, options?: Options): Promise<Answer>;
