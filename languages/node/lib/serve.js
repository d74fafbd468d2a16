"use strict";

const { isMainThread } = require("node:worker_threads");
const { FUNCTION_VARIABLE } = require("./facts.js");
const { listen } = require("./forgotten.js");

// It stays until the process ends, which can call as long as it is there.
let worker;

/** Serves until the engine ends this process. */
function serve(handlers) {
  if (typeof handlers === "function") handlers = { [process.env[FUNCTION_VARIABLE] ?? "Function"]: handlers };
  const names = Object.keys(handlers ?? {});
  const wrong = names.find((name) => typeof handlers[name] !== "function");
  if (wrong !== undefined) throw new TypeError(`the handler of ${JSON.stringify(wrong)} is not a function`);
  if (worker !== undefined) throw new Error("this process serves already: one process hosts one function");
  if (!isMainThread) throw new Error("a worker thread cannot serve: call serve in the main thread");
  const { Worker } = require("./worker.js");
  try {
    worker = new Worker(handlers);
  } catch (error) {
    // EXIT CODE, then what to tell whoever started it.
    const found = /^([12]) ([^]*)$/.exec(error.message);
    if (!found) throw error;
    console.error(`nightcore: ${found[2]}`);
    process.exit(Number(found[1]));
  }
  listen();
  return worker.serve();
}

module.exports = { serve };
