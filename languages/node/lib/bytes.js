"use strict";

// Of any realm: test runners such as Jest give a program classes of its own.
const { isAnyArrayBuffer, isUint8Array } = require("node:util").types;

const EMPTY = Buffer.alloc(0);

/** A body as bytes: of bytes, text, nothing, or a list of these. `hint` is how `what` is written as JSON. */
function toBytes(body, what, hint) {
  if (isUint8Array(body)) return body;
  if (typeof body === "string") return Buffer.from(body);
  if (body === undefined || body === null) return EMPTY;
  if (Array.isArray(body)) return Buffer.concat(body.map((part) => toBytes(part, what, hint)));
  if (isAnyArrayBuffer(body)) return Buffer.from(body);
  const kind = body?.constructor?.name ?? typeof body;
  const next = typeof body?.then === "function" ? "await it first" : `for JSON: ${hint}`;
  throw new TypeError(`${what} is a Buffer, a Uint8Array, a string or a list of these, not ${kind}; ${next}`);
}

module.exports = { EMPTY, toBytes };
