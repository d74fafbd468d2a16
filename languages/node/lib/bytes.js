"use strict";

// The classes of any realm: test runners such as Jest give a program classes of its own.
const { isAnyArrayBuffer, isUint8Array } = require("node:util").types;

const EMPTY = Buffer.alloc(0);

/**
 * A body as bytes: of bytes, text, nothing, or a plain object or an array, which becomes JSON.
 * `hint` says how to write JSON where `what` is none of these.
 */
function toBytes(body, what, hint) {
  if (isUint8Array(body)) return body;
  if (typeof body === "string") return Buffer.from(body);
  if (body === undefined || body === null) return EMPTY;
  if (isAnyArrayBuffer(body)) return Buffer.from(body);
  if (Array.isArray(body) && body.some(isUint8Array)) {
    throw new TypeError(
      `${what} is an array, which becomes JSON, and has bytes in it; join them by Buffer.concat`,
    );
  }
  if (isJson(body)) return Buffer.from(JSON.stringify(body));
  const kind = body?.constructor?.name ?? typeof body;
  const next = typeof body?.then === "function" ? "await it first" : `for JSON: ${hint}`;
  const kinds = "a Buffer, a Uint8Array, a string, a plain object or an array";
  throw new TypeError(`${what} is ${kinds}, not ${kind}; ${next}`);
}

/** Whether a body becomes JSON. */
function isJson(body) {
  if (typeof body !== "object" || body === null) return false;
  if (Array.isArray(body)) return true;
  // A plain object of any realm: its prototype, if it has one, has none.
  const prototype = Object.getPrototypeOf(body);
  if (prototype === null) return true;
  return Object.getPrototypeOf(prototype) === null && typeof body.then !== "function";
}

module.exports = { EMPTY, isJson, toBytes };
