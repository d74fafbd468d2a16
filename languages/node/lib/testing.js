"use strict";

const { NightcoreError } = require("./errors.js");
const { isHttpError } = require("./http-errors.js");
const { Answer, fromReturned, replyOf } = require("./answer.js");
const { Metadata, encode } = require("./metadata.js");
const { NightcoreRequest } = require("./request.js");
const { EMPTY, toBytes } = require("./bytes.js");

/** Calls a handler without an engine. */
async function run(handler, body, options = {}) {
  const { call, function: name = "Test", caller, metadata = [], timeLeft, signal } = options;
  const background = [];
  const host = {
    waitUntil: (promise) => background.push(promise),
    async call(name, body, options = {}) {
      if (!call)
        throw new NightcoreError("NOT_FOUND", `there is no function ${JSON.stringify(name)}`, {
          function: name,
        });
      const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
      const told = {
        function: name,
        body: bytes,
        metadata: new Metadata(options.metadata),
        timeout: options.timeout,
      };
      try {
        return await answerOf(() => call(told), name);
      } catch (error) {
        if (error instanceof NightcoreError) throw error;
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

/** The answer that a handler gives: what it returns, or the HttpError that it throws. */
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
