"use strict";

const { fromLibrary, isDeliberate, NightcoreError, toLibrary } = require("./errors.js");
const { context } = require("./forgotten.js");
const { Sites } = require("./sites.js");
const { isHttpError } = require("./http-errors.js");
const { Answer, fromReturned, replyOf } = require("./answer.js");
const { NightcoreRequest } = require("./request.js");
const { Background } = require("./background.js");

// The kinds of events. In the list of events, each kind is followed by its values. REQUEST has
// these: milliseconds until the deadline or null, the call id in two halves, the caller or null,
// the bytes of metadata, the body, the number of the request. The comments below list the others.
const REQUEST = 1;
const ANSWER = 2; // tag, bytes of metadata, body
const ERROR = 3; // tag, failure
const CANCELLED = 4; // number of the request, name of the error that says why
const ENDED = 5;
// A body is either a number, which counts its bytes in the shared buffer, or a separate buffer.

const ENDED_CALL = "the request has ended: make its calls before its handler returns";

/** A request that is running, and its calls. */
class Running {
  constructor(worker, number) {
    this.worker = worker;
    this.number = number;
    // Whether the handler may make no more calls.
    this.ended = false;
    // Whether the request has its reply or has failed.
    this.answered = false;
    // Why nobody waits for the reply any more.
    this.cancelled = undefined;
    // The tags of the calls under way.
    this.calls = new Set();
  }

  call(name, { body, timeout, metadata }, signal) {
    const site = this.worker.sites.note(NightcoreRequest.prototype.call);
    return new Promise((resolve, reject) => {
      if (this.ended) throw Sites.tell(endedCall(name), site);
      const tag = ++this.worker.lastTag;
      const failure = this.worker.addon.start(this.number, tag, name, body, timeout, metadata);
      if (failure) throw fromLibrary(failure, name);
      const call = { running: this, name, site, resolve, reject, signal, onAbort: undefined };
      this.calls.add(tag);
      this.worker.calls.set(tag, call);
      this.worker.expect();
      if (signal) {
        call.onAbort = () => {
          this.worker.take(tag);
          this.worker.addon.cancel(this.number, tag);
          reject(signal.reason);
        };
        signal.addEventListener("abort", call.onAbort, { once: true });
      }
    });
  }

  /** Lets the process end only after a promise. */
  waitUntil(promise) {
    this.worker.background.add(promise, (error) =>
      this.log("failed after its handler had returned:", error),
    );
  }

  /**
   * Runs the handler and replies with the value that it returns, any property of which may throw.
   */
  run(handler) {
    try {
      const returned = context.run(this, handler, this.request);
      if (typeof returned?.then === "function") this.settle(returned);
      else this.answer(returned);
    } catch (error) {
      this.fail(error);
    }
  }

  async settle(promised) {
    try {
      this.answer(await promised);
    } catch (error) {
      this.fail(error);
    }
  }

  answer(returned) {
    if (this.answered) return;
    const { body, metadata } = fromReturned(returned);
    this.end();
    const failure = this.worker.addon.reply(this.number, body, metadata);
    if (failure) throw fromLibrary(failure);
    this.answered = true;
    this.worker.expect();
  }

  fail(error) {
    if (this.answered) return;
    if (isHttpError(error)) {
      try {
        this.answer(replyOf(error));
        return;
      } catch (failed) {
        // The body or the metadata of the error cannot be sent.
        error = failed;
      }
    }
    if (!isDeliberate(error)) this.log("", error);
    this.tell(toLibrary(error));
  }

  /**
   * Fails the request with a failure, or with the text of an error that was not written for
   * callers.
   */
  tell(failure) {
    this.answered = true;
    this.end();
    const { addon } = this.worker;
    const untold =
      typeof failure === "string"
        ? addon.failUnexpectedly(this.number, failure)
        : addon.fail(this.number, failure);
    if (untold) this.log("the failure cannot be told:", fromLibrary(untold));
  }

  /** Handles an error of work that the handler has started, but that nobody awaits. */
  forgot(reason) {
    if (this.answered) {
      this.log("failed after its handler had returned, and nobody awaits it:", reason);
      return;
    }
    this.log("failed, and nobody awaits it:", reason);
    const told = toLibrary(reason);
    if (typeof told === "string") {
      this.tell(`something that is not awaited failed: ${told}`);
      return;
    }
    const { code, function: name, message } = told;
    const what = name
      ? `a call of ${name} that is not awaited failed: ${code}`
      : "something that is not awaited failed";
    this.fail(new NightcoreError("FUNCTION_FAILED", `${what}: ${message}`));
  }

  /** Logs an error of the user's, which may throw when it is formatted. */
  log(what, error) {
    const before = `nightcore: ${this.worker.function}:${what && ` ${what}`}`;
    try {
      this.request.log(before, error);
    } catch {
      try {
        this.request.log(before, "an error that cannot be shown");
      } catch {
        // The error cannot be reported anywhere.
      }
    }
  }

  end() {
    if (this.ended) return;
    this.ended = true;
    this.worker.running.delete(this.number);
    // The library no longer reports the ends of these calls.
    for (const tag of this.calls) {
      const { name, site, reject } = this.worker.take(tag);
      reject(Sites.tell(this.cancelled ? cancelled(this.cancelled, name) : endedCall(name), site));
    }
  }
}

function endedCall(name) {
  return new NightcoreError("INVALID_STATE", ENDED_CALL, { function: name });
}

/**
 * The worker of this process: it handles events, and keeps the requests and the calls under way.
 */
class Worker {
  constructor(connected, handlers) {
    this.addon = connected;
    this.function = this.addon.function;
    this.handler = handlers[this.function];
    this.lastTag = 0;
    this.calls = new Map();
    this.running = new Map();
    this.sites = new Sites();
    this.background = new Background();
    // Whether one more poll is already scheduled, or would gain nothing.
    this.expects = !this.addon.looks;
    this.again = () => {
      this.expects = false;
      this.drain();
    };
  }

  /**
   * Polls for events once more before the loop sleeps, after all that is ready to run now. The
   * events so far make handlers send messages, and the answers come soon. Polling once more is
   * faster than being woken for them.
   */
  expect() {
    if (this.expects) return;
    this.expects = true;
    setImmediate(this.again);
  }

  /** Resolves when the engine ends this process. */
  serve() {
    return new Promise((resolve) => {
      this.ended = resolve;
      this.addon.watch(() => this.drain());
    });
  }

  /** Removes the call with this tag, and returns it. */
  take(tag) {
    const call = this.calls.get(tag);
    if (call === undefined) return undefined;
    this.calls.delete(tag);
    call.running.calls.delete(tag);
    if (call.onAbort) call.signal.removeEventListener("abort", call.onAbort);
    return call;
  }

  /** Handles all events that have come. */
  drain() {
    const events = this.addon.events();
    const shared = events[0];
    let used = 0;
    const payload = (metadataBytes, body) => {
      const metadata = shared.subarray(used, (used += metadataBytes));
      return [metadata, typeof body === "number" ? shared.subarray(used, (used += body)) : body];
    };
    for (let at = 1; at < events.length;) {
      switch (events[at++]) {
        case REQUEST: {
          const timeLeft = events[at++];
          const id = [events[at++], events[at++]];
          const caller = events[at++];
          const [metadata, body] = payload(events[at++], events[at++]);
          this.run(events[at++], { body, function: this.function, id, caller, metadata, timeLeft });
          break;
        }
        case ANSWER: {
          const call = this.take(events[at++]);
          const [metadata, body] = payload(events[at++], events[at++]);
          call?.resolve(new Answer(body, metadata, call.name));
          break;
        }
        case ERROR: {
          const call = this.take(events[at++]);
          const error = fromLibrary(events[at++]);
          call?.reject(Sites.tell(error, call.site));
          break;
        }
        case CANCELLED: {
          const running = this.running.get(events[at++]);
          const reason = events[at++];
          if (!running) break;
          running.cancelled = reason;
          NightcoreRequest.cancel(running.request, cancelled(reason));
          break;
        }
        case ENDED:
          this.addon.close();
          this.background.finished().then(this.ended);
          return;
      }
    }
    if (events.length > 1) this.expect();
  }

  run(number, input) {
    const running = new Running(this, number);
    const request = new NightcoreRequest(running, input);
    running.request = request;
    this.running.set(number, running);
    running.run(this.handler);
  }
}

const REASONS = {
  DEADLINE_EXCEEDED: "the deadline of the request has passed",
  CANCELLED: "nobody waits for the answer any more",
};

function cancelled(reason, name = "") {
  return new NightcoreError(reason, REASONS[reason], { function: name });
}

module.exports = { Worker };
