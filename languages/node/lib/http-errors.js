"use strict";

// Errors with an HTTP status: one that a handler throws, and one that an answer throws.

const { NightcoreError } = require("./errors.js");

const FIRST_STATUS = 200;
const FIRST_ERROR_STATUS = 400;
const LAST_STATUS = 599;

/** Returns an HTTP status if it is an integer from `first` to 599, and throws otherwise. */
function checkedStatus(status, first = FIRST_STATUS) {
  if (Number.isInteger(status) && status >= first && status <= LAST_STATUS) return status;
  const range = `from ${first} to ${LAST_STATUS}`;
  const text = `an HTTP status must be an integer ${range}, and is ${String(status)}`;
  throw new NightcoreError("INVALID_ARGUMENT", text);
}

/** An error that ends a request with a reply of this HTTP status. */
class HttpError extends Error {
  constructor(status, body = "", { metadata, ...options } = {}) {
    checkedStatus(status, FIRST_ERROR_STATUS);
    super(typeof body === "string" && body !== "" ? body : `HTTP status ${status}`, options);
    this.name = "HttpError";
    this.status = status;
    this.body = body;
    this.metadata = metadata;
  }
}

/** The error for an answer with an HTTP status of 400 or more. */
class HttpStatusError extends NightcoreError {
  constructor(message, { answer, ...options }) {
    super("FUNCTION_FAILED", message, options);
    this.name = "HttpStatusError";
    this.answer = answer;
  }
}

/** Whether an error is an HttpError; false if the check itself throws. */
function isHttpError(error) {
  try {
    return error instanceof HttpError;
  } catch {
    return false;
  }
}

module.exports = { FIRST_ERROR_STATUS, HttpError, HttpStatusError, checkedStatus, isHttpError };
