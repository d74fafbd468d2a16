"use strict";

const { types } = require("node:util");
const { Answer } = require("./answer.js");
const { toBytes } = require("./bytes.js");
const { fromLibrary, fromThrown, NightcoreError } = require("./errors.js");
const { encode } = require("./metadata.js");

/** Calls a function outside of any request, and waits for its answer. */
async function call(name, body, options) {
  const addon = require("./addon.js");
  if (options?.json !== undefined) body = JSON.stringify(options.json);
  const bytes = types.isUint8Array(body)
    ? body
    : toBytes(body, "the body of a call", 'call(name, "", { json: value })');
  const signal = options?.signal;
  signal?.throwIfAborted();
  if (typeof name !== "string") throw new TypeError(`the name of a function is a string, not ${typeof name}`);
  const timeout = options?.timeout ?? undefined;
  if (timeout !== undefined && !(typeof timeout === "number" && timeout > 0)) {
    const text = `a timeout must be a number more than 0, and is ${String(timeout)}`;
    throw new NightcoreError("INVALID_ARGUMENT", text);
  }
  let started;
  try {
    started = addon.startProcessCall(name, bytes, timeout ?? 0, encode(options?.metadata));
  } catch (error) {
    throw fromThrown(error, name);
  }
  const onAbort = () => addon.cancelProcessCall(started.call);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const { failure, metadata, body: answer } = await started.ended;
    if (!failure) return new Answer(answer, metadata);
    // A call that its caller has taken back ends with its caller's reason.
    if (signal?.aborted && failure.code === "CANCELLED") throw signal.reason;
    throw fromLibrary(failure);
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}

module.exports = { call };
