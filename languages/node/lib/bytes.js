"use strict";

// The checks work across realms: test runners such as Jest give a program its own classes.
const { isAnyArrayBuffer, isUint8Array } = require("node:util").types;

const EMPTY = Buffer.alloc(0);

/**
 * Converts a body to bytes. A body is bytes, text, nothing, or a plain object or an array, which
 * becomes JSON. `what` names the body in the error for any other type, and `hint` says how to write
 * JSON there.
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
  // The object is plain, in any realm, if it has no prototype or one that has no prototype itself.
  const prototype = Object.getPrototypeOf(body);
  if (prototype === null) return true;
  return Object.getPrototypeOf(prototype) === null && typeof body.then !== "function";
}

module.exports = { EMPTY, isJson, toBytes };
