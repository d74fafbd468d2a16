"use strict";

const { Console } = require("node:console");

// If standard error is closed nobody can be told. An error of the stream itself would end the process.
const out = new Console({ stdout: process.stderr, ignoreErrors: true });

// The key by which the launcher believes a mark; none if the output goes to no log.
const KEY = process.env.NIGHTCORE_LOG_KEY;
// Begins a line that says which call it is about.
const MARK = `\x1e${KEY}`;

/** Writes each line of a text to standard error, marked with the id of its call; a request without an engine has none. */
function log(id, text) {
  const isMarked = KEY !== undefined && !process.stderr.isTTY;
  const before = id === undefined ? "" : isMarked ? `${MARK}${id} ` : `${id} `;
  const lines = text.replace(/\n$/, "").split("\n");
  // In one write, so that lines of others do not come between.
  out.log(lines.map((line) => `${before}${line}`).join("\n"));
}

module.exports = { log };
