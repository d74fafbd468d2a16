"use strict";

const { CODES } = require("./facts.js");

/** Why a call got no answer. */
class NightcoreError extends Error {
  constructor(code, message, { function: name = "", causes = [] } = {}) {
    super(message);
    this.name = "NightcoreError";
    this.code = code;
    this.function = name;
    this.causes = causes;
  }
}

/** The error for a failure as the addon gives it. */
function fromLibrary({ code, message, function: name, causes }) {
  return new NightcoreError(code, message, { function: name, causes });
}

/** The error for what the addon has thrown, whose message begins with a code. */
function fromThrown(error, name) {
  const found = /^([A-Z_]+): ([^]*)$/.exec(error.message);
  return found ? new NightcoreError(found[1], found[2], { function: name }) : error;
}

const UNTOLD = "the handler failed, and its error cannot be told";

/**
 * What the addon is told of an error that a handler has let pass: the failure, or the text of an error that was not
 * written for callers. The error is the user's: any property of it may throw, or be something else than it should.
 */
function toLibrary(error) {
  try {
    if (!isDeliberate(error)) return String(error instanceof Error ? error.message : error);
    const [code, message, name] = [error.code, String(error.message), String(error.function)];
    if (!CODES.has(code)) {
      // The library's own, which no call ends with.
      const text = `${code}: ${message}`;
      return failure("FUNCTION_FAILED", name ? `${name}: ${text}` : text, "", []);
    }
    const causes = Array.from(error.causes, (cause) => {
      if (!CODES.has(cause.code)) throw new TypeError("no call ends with this code");
      return { function: String(cause.function), code: cause.code, message: String(cause.message) };
    });
    return failure(code, message, name, causes);
  } catch {
    return UNTOLD;
  }
}

/** Whether an error's message is for callers; false if it does not let itself be looked at. */
function isDeliberate(error) {
  try {
    return error instanceof NightcoreError;
  } catch {
    return false;
  }
}

function failure(code, message, name, causes) {
  return { code, message, function: name, causes };
}

module.exports = { NightcoreError, fromLibrary, fromThrown, isDeliberate, toLibrary };
