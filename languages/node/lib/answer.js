"use strict";

const { Metadata, encode, entriesOf } = require("./metadata.js");
const { isJson, toBytes } = require("./bytes.js");
const { FIRST_ERROR_STATUS, HttpStatusError, checkedStatus } = require("./http-errors.js");
const { deprecate, types } = require("node:util");
const { isUtf8 } = require("node:buffer");

const DEFAULT_STATUS = 200;
const MAX_STATUS = 0xffff;
const FIRST_REDIRECTION = 300;
// The most characters of a body that an error quotes.
const MAX_QUOTED = 200;
const HINT = 'req.reply("", { json: value })';

/** The answer to a call. */
class Answer {
  #metadata;
  #function;

  constructor(body, metadata, name = "") {
    this.body = body;
    this.#metadata = metadata;
    this.#function = name;
  }

  get metadata() {
    if (!(this.#metadata instanceof Metadata)) this.#metadata = Metadata.decode(this.#metadata);
    return this.#metadata;
  }

  get status() {
    // The status is a number of 16 bits, as in the other languages.
    const digits = this.metadata.get(":status") ?? "";
    const status = /^\+?[0-9]+$/.test(digits) ? Number(digits) : DEFAULT_STATUS;
    return status > MAX_STATUS ? DEFAULT_STATUS : status;
  }

  get ok() {
    return this.status < FIRST_REDIRECTION;
  }

  text() {
    return this.body.toString();
  }

  json() {
    return JSON.parse(this.text());
  }

  throwForStatus() {
    if (this.status < FIRST_ERROR_STATUS) return this;
    let message = `answered with HTTP status ${this.status}`;
    const isText = this.body.length > 0 && isUtf8(this.body);
    // The text is cut between code points, so that no character is cut in two.
    if (isText)
      message += `: ${[...this.text().slice(0, 2 * MAX_QUOTED)].slice(0, MAX_QUOTED).join("")}`;
    throw new HttpStatusError(message, { answer: this, function: this.#function });
  }
}

const warnOfHeaders = deprecate(
  () => {},
  "nightcore: the option headers of a reply is now metadata",
  "NIGHTCORE_HEADERS",
);

/** A reply with an HTTP status and metadata. */
class Reply {
  constructor(body, { status, metadata, headers, json } = {}) {
    if (headers !== undefined) warnOfHeaders();
    const given = entriesOf(metadata ?? headers ?? []);
    let pairs = given.map(([name, value]) => [name.toLowerCase(), value]);
    if (status !== undefined) {
      const others = pairs.filter(([name]) => name !== ":status");
      pairs = [[":status", String(checkedStatus(status))], ...others];
    }
    if (json !== undefined) body = JSON.stringify(json);
    if (json !== undefined || isJson(body)) addContentType(pairs, "application/json");
    this.body = toBytes(body, "the body of a reply", HINT);
    this.metadata = encode(pairs);
  }
}

function addContentType(pairs, type) {
  if (!pairs.some(([name]) => name.toLowerCase() === "content-type"))
    pairs.push(["content-type", type]);
}

/** Returns the reply that an HttpError stands for. */
function replyOf({ status, body, metadata = [] }) {
  const pairs = entriesOf(metadata);
  if (typeof body === "string") addContentType(pairs, "text/plain; charset=utf-8");
  return new Reply(body, { status, metadata: pairs });
}

/** Returns the body and the encoded metadata of the value that a handler has returned. */
function fromReturned(returned) {
  if (types.isUint8Array(returned)) return { body: returned, metadata: undefined };
  if (returned instanceof Answer)
    return { body: returned.body, metadata: encode(returned.metadata) };
  if (returned instanceof Reply) return returned;
  if (isJson(returned)) return new Reply(returned);
  return { body: toBytes(returned, "what a handler returns", HINT), metadata: undefined };
}

module.exports = { Answer, Reply, fromReturned, replyOf };
