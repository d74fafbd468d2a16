"use strict";

const { isUint8Array } = require("node:util").types;
const { NightcoreError } = require("./errors.js");

// Each pair is encoded as the lengths of the name and the value, two bytes each, then the name and
// the value.
const HEAD_BYTES = 4;
const MAX_LENGTH = 0xffff;

/** Ordered pairs of a name and a value. */
class Metadata {
  #encoded;
  #pairs;

  constructor(pairs = []) {
    this.#pairs = entriesOf(pairs).map(([name, value]) => [name.toLowerCase(), asText(value)]);
  }

  static decode(encoded) {
    const metadata = new Metadata();
    metadata.#encoded = encoded;
    metadata.#pairs = undefined;
    return metadata;
  }

  #all() {
    return (this.#pairs ??= decode(this.#encoded, "utf8"));
  }

  get(name) {
    name = name.toLowerCase();
    return this.#all().find(([own]) => own === name)?.[1];
  }

  getAll(name) {
    name = name.toLowerCase();
    return this.#all()
      .filter(([own]) => own === name)
      .map(([, value]) => value);
  }

  has(name) {
    return this.get(name) !== undefined;
  }

  entries() {
    return this.#all()[Symbol.iterator]();
  }

  [Symbol.iterator]() {
    return this.entries();
  }

  /** The metadata as they came, so that values that are not UTF-8 stay unchanged. */
  get encoded() {
    return this.#encoded;
  }
}

/** Decodes metadata to pairs. Without an encoding, the values are bytes. */
function decode(encoded, encoding) {
  const pairs = [];
  for (let at = 0; at < encoded.length;) {
    const name = at + HEAD_BYTES + encoded.readUInt16LE(at);
    const value = name + encoded.readUInt16LE(at + 2);
    pairs.push([
      encoded.latin1Slice(at + HEAD_BYTES, name),
      encoding === undefined
        ? encoded.subarray(name, value)
        : encoded.toString(encoding, name, value),
    ]);
    at = value;
  }
  return pairs;
}

/** Encodes pairs; undefined if there are none. */
function encode(pairs) {
  if (pairs === undefined) return undefined;
  if (pairs instanceof Metadata && pairs.encoded)
    return pairs.encoded.length > 0 ? pairs.encoded : undefined;
  const pieces = [];
  for (const [name, value] of entriesOf(pairs)) {
    const bytes = [
      Buffer.from(name.toLowerCase()),
      isUint8Array(value) ? value : Buffer.from(asText(value)),
    ];
    if (bytes[0].length > MAX_LENGTH)
      throw new NightcoreError("INVALID_ARGUMENT", "a metadata name is too long");
    if (bytes[1].length > MAX_LENGTH) {
      throw new NightcoreError(
        "PAYLOAD_TOO_LARGE",
        `the value of metadata ${JSON.stringify(name)} is too long`,
      );
    }
    const head = Buffer.allocUnsafe(HEAD_BYTES);
    head.writeUInt16LE(bytes[0].length, 0);
    head.writeUInt16LE(bytes[1].length, 2);
    pieces.push(head, ...bytes);
  }
  return pieces.length > 0 ? Buffer.concat(pieces) : undefined;
}

/**
 * Returns the pairs of metadata that a program gives. The values of an object may be lists;
 * anything else is iterated over as pairs. Values of metadata that came with a call stay bytes,
 * because text would change values that are not UTF-8.
 */
function entriesOf(pairs) {
  if (pairs instanceof Metadata && pairs.encoded) return decode(pairs.encoded);
  if (typeof pairs[Symbol.iterator] === "function") return [...pairs];
  return Object.entries(pairs).flatMap(([name, value]) =>
    Array.isArray(value) ? value.map((each) => [name, each]) : [[name, value]],
  );
}

function asText(value) {
  return isUint8Array(value) ? Buffer.from(value).toString() : String(value);
}

module.exports = { Metadata, decode, encode, entriesOf };
