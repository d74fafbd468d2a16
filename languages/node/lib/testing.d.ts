import type { Answer, Handler, Metadata, Pairs, Body, Returned } from "./index.js";

/** A call that the handler under test makes. */
export interface Call {
  readonly function: string;
  readonly body: Buffer;
  readonly metadata: Metadata;
  /** The timeout of this call, in milliseconds. */
  readonly timeout: number | undefined;
}

/** The properties of a test's request. */
export interface Options {
  /**
   * The test double that answers the handler's calls. If it throws, the call fails with that error.
   * Without it, each call fails with NOT_FOUND.
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
 * Runs a handler without an engine, and resolves to its answer after all promises that it has
 * passed to `waitUntil`. Rejects with the error of the handler, or else with that of such a
 * promise; an HttpError is an answer.
 */
export function run(handler: Handler, body?: Body, options?: Options): Promise<Answer>;
