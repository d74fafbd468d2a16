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

module.exports = { NightcoreError, fromLibrary, fromThrown };
