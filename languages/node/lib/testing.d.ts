import type { Answer, Handler, Metadata, Pairs, Body, Returned } from "./index.js";

/** A call that the handler makes of another function. */
export interface Call {
  readonly function: string;
  readonly body: Buffer;
  readonly metadata: Metadata;
  /** In ms. */
  readonly timeout: number | undefined;
}

/** What a test says of a request. */
export interface Options {
  /**
   * Answers the handler's calls. What it throws is the callee's error. Without it there are no functions.
   */
  call?: (call: Call) => Returned | Promise<Returned>;
  /** The name that is called. */
  function?: string;
  /** Makes it an internal call, made by this function. */
  caller?: string;
  metadata?: Pairs;
  /** Milliseconds until the deadline, which does not pass. */
  timeLeft?: number;
  /** Cancels the request when it aborts. */
  signal?: AbortSignal;
}

/**
 * Calls a handler without an engine: its answer, or what it threw. What it has handed to `waitUntil` is awaited before.
 */
export function run(handler: Handler, body?: Body, options?: Options): Promise<Answer>;
