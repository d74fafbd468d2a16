"use strict";

const { Metadata, encode, entriesOf } = require("./metadata.js");
const { toBytes } = require("./bytes.js");
const { isUint8Array } = require("node:util").types;

const DEFAULT_STATUS = 200;

/** What a called function answered. */
class Answer {
  #metadata;

  constructor(body, metadata) {
    this.body = body;
    this.#metadata = metadata;
  }

  get metadata() {
    if (!(this.#metadata instanceof Metadata)) this.#metadata = Metadata.decode(this.#metadata);
    return this.#metadata;
  }

  get status() {
    return Number(this.metadata.get(":status") ?? DEFAULT_STATUS);
  }

  text() {
    return this.body.toString();
  }

  json() {
    return JSON.parse(this.text());
  }
}

/** An answer with an HTTP status and headers. */
class Reply {
  constructor(body, { status, headers = [], json } = {}) {
    const pairs = status === undefined ? [] : [[":status", String(status)]];
    pairs.push(...entriesOf(headers).map(([name, value]) => [name.toLowerCase(), value]));
    if (json !== undefined) {
      body = JSON.stringify(json);
      if (!pairs.some(([name]) => name === "content-type")) pairs.push(["content-type", "application/json"]);
    }
    this.body = toBytes(body, "the body of a reply", 'req.reply("", { json: value })');
    this.metadata = encode(pairs);
  }
}

/** Body and encoded metadata of what a handler has returned. */
function fromReturned(returned) {
  if (isUint8Array(returned)) return { body: returned, metadata: undefined };
  if (returned instanceof Answer) return { body: returned.body, metadata: encode(returned.metadata) };
  if (returned instanceof Reply) return returned;
  return { body: toBytes(returned, "what a handler returns", 'req.reply("", { json: value })'), metadata: undefined };
}

module.exports = { Answer, Reply, fromReturned };
