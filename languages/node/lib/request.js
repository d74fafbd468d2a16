"use strict";

const { format } = require("node:util");
const { HttpError } = require("./http-errors.js");
const { log } = require("./log.js");
const { Metadata } = require("./metadata.js");
const { Reply } = require("./answer.js");
const { outgoing } = require("./outgoing.js");

const HALF_DIGITS = 8;
const NO_ID = [0, 0];
const BAD_REQUEST = 400;

/** A request that a handler answers. `host` makes its calls: the worker, or a test. */
class NightcoreRequest {
  #host;
  #id;
  #metadata;
  #deadline;
  #controller;
  #reason;

  constructor(host, { body, function: name, id = NO_ID, caller, metadata, timeLeft }) {
    this.#host = host;
    this.#id = id;
    this.#metadata = metadata;
    this.#deadline =
      timeLeft === null || timeLeft === undefined ? undefined : performance.now() + timeLeft;
    this.body = body;
    this.function = name;
    this.caller = caller ?? undefined;
  }

  get id() {
    return this.#id.map((half) => half.toString(16).padStart(HALF_DIGITS, "0")).join("");
  }

  log(...what) {
    log(this.#id === NO_ID ? undefined : this.id, format(...what));
  }

  text() {
    return this.body.toString();
  }

  json() {
    try {
      return JSON.parse(this.text());
    } catch (cause) {
      // If a function sent the body, that function has a bug, so the error goes to the log.
      if (this.caller !== undefined) throw cause;
      const text = `the body of the request is not JSON: ${cause.message}`;
      throw new HttpError(BAD_REQUEST, text, { cause });
    }
  }

  get metadata() {
    if (!(this.#metadata instanceof Metadata)) this.#metadata = Metadata.decode(this.#metadata);
    return this.#metadata;
  }

  get timeLeft() {
    return this.#deadline === undefined
      ? Infinity
      : Math.max(0, this.#deadline - performance.now());
  }

  get signal() {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  reply(body, options) {
    return new Reply(body, options);
  }

  call(name, body, options) {
    let sent;
    try {
      sent = outgoing(name, body, options, 'req.call(name, "", { json: value })');
    } catch (error) {
      // The error is returned as a promise. Thrown in a timer, it would end the process.
      return Promise.reject(error);
    }
    return this.#host.call(name, sent, options?.signal);
  }

  waitUntil(promise) {
    this.#host.waitUntil(promise);
  }

  /** Cancels the request, because nobody waits for its reply any more. */
  static cancel(request, reason) {
    request.#reason = reason;
    request.#controller?.abort(reason);
  }
}

module.exports = { NightcoreRequest };
