"use strict";

// The key by which the launcher believes a mark; none if the output goes to no log.
const KEY = process.env.NIGHTCORE_LOG_KEY;
// Begins a line that says which call it is about.
const MARK = `\x1e${KEY}`;

/** Writes each line of a text to standard error, marked with the id of its call; a request without an engine has none. */
function log(id, text) {
  const isMarked = KEY !== undefined && !process.stderr.isTTY;
  const before = id === undefined ? "" : isMarked ? `${MARK}${id} ` : `${id} `;
  const lines = text.replace(/\n$/, "").split("\n");
  listen();
  // In one write, so that lines of others do not come between.
  process.stderr.write(lines.map((line) => `${before}${line}\n`).join(""));
}

let listens = false;

/** Keeps standard error that is closed from ending the process: nobody can be told, and calls go on. */
function listen() {
  if (!listens) process.stderr.on("error", () => {});
  listens = true;
}

module.exports = { log };
