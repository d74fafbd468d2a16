"use strict";

// The arguments of a call, checked before it is made.

const { toBytes } = require("./bytes.js");
const { NightcoreError } = require("./errors.js");
const { encode } = require("./metadata.js");

/** The body of a call as bytes. `hint` is how the call is written for JSON. */
function bodyOf(body, options, hint) {
  if (options?.json !== undefined) body = JSON.stringify(options.json);
  return toBytes(body, "the body of a call", hint);
}

/** The timeout of a call in ms, 0 for none, and its encoded metadata. */
function optionsOf(name, options) {
  options?.signal?.throwIfAborted();
  if (typeof name !== "string")
    throw new TypeError(`the name of a function is a string, not ${typeof name}`);
  const timeout = options?.timeout ?? undefined;
  if (timeout !== undefined && !(typeof timeout === "number" && timeout > 0)) {
    const text = `a timeout must be a number more than 0, and is ${String(timeout)}`;
    throw new NightcoreError("INVALID_ARGUMENT", text);
  }
  return [timeout ?? 0, encode(options?.metadata)];
}

module.exports = { bodyOf, optionsOf };
