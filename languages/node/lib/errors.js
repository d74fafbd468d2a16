"use strict";

const { CODES } = require("./facts.js");

/** A failed call. */
class NightcoreError extends Error {
  constructor(code, message, { function: name = "", causes = [] } = {}) {
    super(message);
    this.name = "NightcoreError";
    this.code = code;
    this.function = name;
    this.causes = causes;
  }
}

/**
 * Returns the error for a failure of the addon. `called` is the function if the failure names none.
 */
function fromLibrary({ code, message, function: name, causes }, called = "") {
  return new NightcoreError(code, message, { function: name || called, causes });
}

const UNTOLD = "the handler failed, and its error cannot be told";

/**
 * Converts an error of a handler for the addon: to a failure, or to the text of an error that was
 * not written for callers. The error is the user's: any property of it may throw, or have a wrong
 * type.
 */
function toLibrary(error) {
  try {
    if (!isDeliberate(error)) return String(error instanceof Error ? error.message : error);
    const [code, message, name] = [error.code, String(error.message), String(error.function)];
    if (!CODES.has(code)) {
      // This code is the library's own, and no call ends with it.
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

/** Whether an error's message is for callers; false if the check itself throws. */
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

module.exports = { NightcoreError, fromLibrary, isDeliberate, toLibrary };
