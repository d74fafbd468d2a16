"use strict";

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
 * What the addon is told of an error that a handler has let pass. The error is the user's: any property of it may
 * throw, or be something else than it should. `codes` are those that a call can end with.
 */
function toLibrary(error, codes) {
  try {
    if (!isOfCall(error, codes)) return failed(String(error instanceof Error ? error.message : error));
    const causes = Array.from(error.causes, (cause) => {
      if (!codes.has(cause.code)) throw new TypeError("no call ends with this code");
      return { function: String(cause.function), code: cause.code, message: String(cause.message) };
    });
    return { code: error.code, message: String(error.message), function: String(error.function), causes };
  } catch {
    return failed(UNTOLD);
  }
}

/** Whether an error is one that a call can end with; false if it does not let itself be looked at. */
function isOfCall(error, codes) {
  try {
    return error instanceof NightcoreError && codes.has(error.code);
  } catch {
    return false;
  }
}

function failed(message) {
  return { code: "FUNCTION_FAILED", message, function: "", causes: [] };
}

module.exports = { NightcoreError, fromLibrary, fromThrown, isOfCall, toLibrary };
