"use strict";

const { LINE_MARK, LOG_KEY_VARIABLE } = require("./facts.js");

// The key by which the launcher recognizes a mark. It is undefined if the output goes to no log.
const KEY = process.env[LOG_KEY_VARIABLE];
// The start of a line that carries a call id.
const MARK = `${LINE_MARK}${KEY}`;

/** Writes each line of a text to standard error, marked with the call id if there is one. */
function log(id, text) {
  const isMarked = KEY !== undefined && !process.stderr.isTTY;
  const before = id === undefined ? "" : isMarked ? `${MARK}${id} ` : `${id} `;
  const lines = text.replace(/\n$/, "").split("\n");
  listen();
  // All lines go in one write, so that lines of other calls do not come between.
  process.stderr.write(lines.map((line) => `${before}${line}\n`).join(""));
}

let listens = false;

/** Ignores errors of standard error: if it is closed, the process goes on. */
function listen() {
  if (!listens) process.stderr.on("error", () => {});
  listens = true;
}

module.exports = { log };
