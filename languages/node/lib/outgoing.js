"use strict";

// Checks and encodes the arguments of a call before it is made.

const { EMPTY, isJson, toBytes } = require("./bytes.js");
const { NightcoreError } = require("./errors.js");
const { Metadata, encode } = require("./metadata.js");

const JSON_TYPE = encode([["content-type", "application/json"]]);

/**
 * Returns the data that a call sends: the body as bytes, the timeout in ms (0 means that there is
 * none), and the encoded metadata. `hint` says how to write the call with JSON.
 */
function outgoing(name, body, options, hint) {
  const { json, metadata, signal, timeout } = options ?? {};
  signal?.throwIfAborted();
  if (typeof name !== "string")
    throw new TypeError(`the name of a function is a string, not ${typeof name}`);
  const given = timeout ?? undefined;
  if (given !== undefined && !(typeof given === "number" && given > 0)) {
    const text = `a timeout must be a number more than 0, and is ${String(given)}`;
    throw new NightcoreError("INVALID_ARGUMENT", text);
  }
  const sendsJson = json !== undefined || isJson(body);
  const content = json === undefined ? body : JSON.stringify(json);
  return {
    body: toBytes(content, "the body of a call", hint),
    timeout: given ?? 0,
    metadata: sendsJson ? withJsonType(encode(metadata)) : encode(metadata),
  };
}

/** Returns encoded metadata with a content type: their own, or else that of JSON. */
function withJsonType(encoded = EMPTY) {
  const hasType = Metadata.decode(encoded).has("content-type");
  return hasType ? encoded : Buffer.concat([encoded, JSON_TYPE]);
}

module.exports = { outgoing };
