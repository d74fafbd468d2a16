"use strict";

// Of any realm: test runners such as Jest give a program classes of its own.
const { isAnyArrayBuffer, isUint8Array } = require("node:util").types;

const EMPTY = Buffer.alloc(0);

/** A body as bytes: of bytes, text, nothing, or a list of these. */
function toBytes(body, what) {
  if (isUint8Array(body)) return body;
  if (typeof body === "string") return Buffer.from(body);
  if (body === undefined || body === null) return EMPTY;
  if (Array.isArray(body)) return Buffer.concat(body.map((part) => toBytes(part, what)));
  if (isAnyArrayBuffer(body)) return Buffer.from(body);
  const kind = body?.constructor?.name ?? typeof body;
  throw new TypeError(
    `${what} is a Buffer, a Uint8Array, a string or a list of these, not ${kind}; for JSON: { json }`,
  );
}

module.exports = { EMPTY, toBytes };
