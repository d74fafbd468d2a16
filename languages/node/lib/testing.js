"use strict";

const { NightcoreError } = require("./errors.js");
const { isHttpError } = require("./http-errors.js");
const { Answer, fromReturned, replyOf } = require("./answer.js");
const { Metadata, encode } = require("./metadata.js");
const { NightcoreRequest } = require("./request.js");
const { EMPTY, toBytes } = require("./bytes.js");

/** Runs a handler without an engine. */
async function run(handler, body, options = {}) {
  const { call, function: name = "Test", caller, metadata = [], timeLeft, signal } = options;
  const background = [];
  const host = {
    waitUntil(promise) {
      const running = (async () => promise)();
      // The promise may reject before the handler ends, when nobody awaits it yet.
      running.catch(() => {});
      background.push(running);
    },
    async call(name, { body, timeout, metadata }, signal) {
      if (!call)
        throw new NightcoreError("NOT_FOUND", `there is no function ${JSON.stringify(name)}`, {
          function: name,
        });
      const told = {
        function: name,
        body: asBuffer(body),
        metadata: Metadata.decode(metadata ?? EMPTY),
        timeout: timeout || undefined,
      };
      try {
        return await untilAborted(() => answerOf(() => call(told), name), signal);
      } catch (error) {
        if (error instanceof NightcoreError || signal?.aborted) throw error;
        throw new NightcoreError("FUNCTION_FAILED", error.message, { function: name });
      }
    },
  };
  const input = { body: asBuffer(toBytes(body, "the body")), function: name, caller, timeLeft };
  const request = new NightcoreRequest(host, {
    ...input,
    metadata: Metadata.decode(encode(metadata) ?? EMPTY),
  });
  if (signal?.aborted) NightcoreRequest.cancel(request, signal.reason);
  signal?.addEventListener("abort", () => NightcoreRequest.cancel(request, signal.reason), {
    once: true,
  });
  const answer = await answerOf(() => handler(request));
  while (background.length > 0) await background.pop();
  return answer;
}

/** Resolves like the promise of `begin`, unless the signal aborts first. */
function untilAborted(begin, signal) {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    const done = () => signal?.removeEventListener("abort", onAbort);
    begin().finally(done).then(resolve, reject);
  });
}

/**
 * Returns the answer of a handler, from the value that it returns or the HttpError that it throws.
 */
async function answerOf(handle, name) {
  let returned;
  try {
    returned = await handle();
  } catch (error) {
    if (!isHttpError(error)) throw error;
    returned = replyOf(error);
  }
  const { body, metadata } = fromReturned(returned);
  return new Answer(asBuffer(body), metadata ?? EMPTY, name);
}

function asBuffer(bytes) {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

module.exports = { run };
