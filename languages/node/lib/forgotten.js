"use strict";

// Errors that nobody awaits, such as those of a call whose `await` was forgotten. Node would end
// the process, and with it all other calls.

const { AsyncLocalStorage } = require("node:async_hooks");

/** The request on whose behalf code runs. */
const context = new AsyncLocalStorage();

// With these, Node ends no process for such an error.
const LENIENT = /--unhandled-rejections=(warn|none)/;

/** Has each such error fail the request on whose behalf its promise was made. */
function listen() {
  process.on("unhandledRejection", (reason) => {
    const running = context.getStore();
    if (running !== undefined) {
      running.forgot(reason);
    } else if (process.listenerCount("unhandledRejection") === 1 && !LENIENT.test(flags())) {
      // Nobody's request, and no listener of the program's: as without this one.
      throw reason;
    }
  });
}

function flags() {
  return `${process.execArgv.join(" ")} ${process.env.NODE_OPTIONS ?? ""}`;
}

module.exports = { context, listen };
