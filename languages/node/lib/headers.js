"use strict";

// Sets the headers of an http.IncomingMessage as Node's own parser would. Values of the same name
// are joined by the rules in Node's documentation of `message.headers`.

const FIRST_COUNTS = new Set([
  "age", "authorization", "content-length", "content-type", "etag", "expires", "from", "host",
  "if-modified-since", "if-unmodified-since", "last-modified", "location", "max-forwards",
  "proxy-authorization", "referer", "retry-after", "server", "user-agent",
]); // prettier-ignore

/** Sets the headers of a message from pairs of a lower-case name and a value. */
function setHeaders(message, pairs) {
  const distinct = Object.create(null);
  for (const [name, value] of pairs) (distinct[name] ??= []).push(value);
  message.rawHeaders = pairs.flat();
  message.headersDistinct = distinct;
  const headers = {};
  for (const name in distinct) headers[name] = joined(name, distinct[name]);
  message.headers = headers;
}

function joined(name, values) {
  if (name === "set-cookie") return values;
  if (FIRST_COUNTS.has(name)) return values[0];
  return values.join(name === "cookie" ? "; " : ", ");
}

module.exports = { setHeaders };
