"use strict";

const { Answer } = require("./answer.js");
const { fromLibrary } = require("./errors.js");
const { outgoing } = require("./outgoing.js");
const { Sites } = require("./sites.js");

const sites = new Sites();

/** Calls a function outside of any request, and waits for its answer. */
async function call(name, body, options) {
  const addon = require("./addon.js");
  const site = sites.note(call);
  const sent = outgoing(name, body, options, 'call(name, "", { json: value })');
  const started = addon.startProcessCall(name, sent.body, sent.timeout, sent.metadata);
  // A result with a code is a failure.
  if (started.code !== undefined) throw fromLibrary(started, name);
  const signal = options?.signal;
  const onAbort = () => addon.cancelProcessCall(started.call);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const { failure, metadata, body: answer } = await started.ended;
    if (!failure) return new Answer(answer, metadata, name);
    // A call that its caller has cancelled ends with the caller's reason.
    if (signal?.aborted && failure.code === "CANCELLED") throw signal.reason;
    throw Sites.tell(fromLibrary(failure), site);
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}

module.exports = { call };
