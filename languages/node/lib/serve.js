"use strict";

const { isMainThread } = require("node:worker_threads");
const { FUNCTION_VARIABLE } = require("./facts.js");
const { listen } = require("./forgotten.js");

// The worker stays until the process ends, because the process can make calls as long as it runs.
let worker;

/** Serves until the engine ends this process. */
function serve(handlers) {
  if (typeof handlers === "function") {
    handlers = { [process.env[FUNCTION_VARIABLE] ?? "Function"]: handlers };
  }
  const names = Object.keys(handlers ?? {});
  const wrong = names.find((name) => typeof handlers[name] !== "function");
  if (wrong !== undefined) {
    throw new TypeError(`the handler of ${JSON.stringify(wrong)} is not a function`);
  }
  if (worker !== undefined) {
    throw new Error("this process serves already: one process hosts one function");
  }
  if (!isMainThread) {
    throw new Error("a worker thread cannot serve: call serve in the main thread");
  }
  const addon = require("./addon.js");
  const { Worker } = require("./worker.js");
  const connected = addon.connect(names);
  if (!(connected instanceof addon.Worker)) {
    console.error(`nightcore: ${connected.message}`);
    process.exit(connected.exitCode);
  }
  worker = new Worker(connected, handlers);
  listen();
  return worker.serve();
}

module.exports = { serve };
