"use strict";

// Begins a line that says which call it is about.
const MARK = "\x1e";

/** Writes each line of a text to standard error, marked with the id of its call; a request without an engine has none. */
function log(id, text) {
  const before = id === undefined ? "" : process.stderr.isTTY ? `${id} ` : `${MARK}${id} `;
  const lines = text.replace(/\n$/, "").split("\n");
  // In one write, so that lines of others do not come between.
  process.stderr.write(lines.map((line) => `${before}${line}\n`).join(""));
}

module.exports = { log };
