"use strict";

// Handles errors that nobody awaits, such as those of a call whose `await` was forgotten. By
// default Node would end the process, and with it all other calls.

const { AsyncLocalStorage } = require("node:async_hooks");

/** The request for which code runs. */
const context = new AsyncLocalStorage();

// With one of these options, Node does not end a process for such an error.
const LENIENT = /--unhandled-rejections=(warn|none)/;

/** Makes each such error fail the request for which its promise was created. */
function listen() {
  process.on("unhandledRejection", (reason) => {
    const running = context.getStore();
    if (running !== undefined) {
      running.forgot(reason);
    } else if (process.listenerCount("unhandledRejection") === 1 && !LENIENT.test(flags())) {
      // The error belongs to no request, and the program has no listener, so Node ends the process
      // as it would without this listener.
      throw reason;
    }
  });
}

function flags() {
  return `${process.execArgv.join(" ")} ${process.env.NODE_OPTIONS ?? ""}`;
}

module.exports = { context, listen };
