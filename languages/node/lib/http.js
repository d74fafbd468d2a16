"use strict";

const { Duplex } = require("node:stream");
const { deprecate } = require("node:util");
const { IncomingMessage, METHODS, ServerResponse } = require("node:http");
const { Reply, replyOf } = require("./answer.js");
const { HttpError } = require("./http-errors.js");
const { setHeaders } = require("./headers.js");
const { decode } = require("./metadata.js");

const INTERIM_STATUS = 200;
const BAD_REQUEST = 400;
const NOT_IMPLEMENTED = 501;

const MALFORMED = /%(?![0-9a-f]{2})/i;

/**
 * Makes a handler of an HTTP listener. The listener gets Node's own request and response, over a
 * connection that only collects bytes, so the reply has the bytes that Node would have written.
 */
function httpHandler(listener) {
  if (typeof listener !== "function") {
    throw new TypeError("httpHandler takes a listener, as http.createServer does");
  }
  return (request) => {
    // Node's own server knows no other methods, so the client has made a mistake.
    const method = request.metadata.get(":method") ?? "POST";
    if (!METHODS.includes(method)) {
      return new Reply(`${method} is not a method\n`, { status: NOT_IMPLEMENTED });
    }
    if (MALFORMED.test(request.metadata.get(":path") ?? "")) {
      const text =
        "the path of the request is malformed: % is followed by two hexadecimal digits\n";
      return replyOf(new HttpError(BAD_REQUEST, text));
    }
    return new Promise((resolve, reject) => {
      const connection = new Connection();
      const req = incoming(request, connection);
      const res = new ServerResponse(req);
      // The response is sent as a whole, without chunks.
      res.useChunkedEncodingByDefault = false;
      res.shouldKeepAlive = false;
      res.sendDate = false;
      res.assignSocket(connection);
      res.once("finish", () => {
        res.detachSocket(connection);
        try {
          resolve(connection.reply());
        } catch (error) {
          // Node allows a listener to choose an HTTP status above 599.
          reject(error);
        }
        process.nextTick(() => {
          // Later writes are dropped. Otherwise each would cause an error that nobody catches.
          res.destroyed = true;
          res.emit("close");
        });
      });
      connection.on("error", reject);
      connection.once("close", () => {
        if (res.writableFinished) return;
        req.destroy();
        res.emit("close");
        const { aborted, reason } = request.signal;
        reject(
          aborted ? reason : new Error("the connection was closed before there was an answer"),
        );
      });
      request.signal.addEventListener("abort", () => connection.destroy(), { once: true });
      const returned = listener(req, res);
      if (typeof returned?.then !== "function") return;
      const failed = (error) => {
        // Before the response is complete, the error fails the call. After that, it is an error of
        // work that went on.
        if (res.writableFinished) throw error;
        reject(error);
      };
      request.waitUntil(returned.then(undefined, failed));
    });
  };
}

function incoming(request, connection) {
  const req = new IncomingMessage(connection);
  const headers = [];
  let [method, prefix, path, query] = ["POST", "", "/", ""];
  for (const [name, value] of decode(request.metadata.encoded, "latin1")) {
    if (name === ":method") method = value;
    else if (name === ":prefix") prefix = value;
    else if (name === ":path") path = value;
    else if (name === ":query") query = `?${value}`;
    else if (!name.startsWith(":")) headers.push([name, value]);
  }
  req.httpVersion = "1.1";
  req.httpVersionMajor = 1;
  req.httpVersionMinor = 1;
  req.method = method;
  req.url = encoded(path + query);
  req.nightcore = request;
  req.nightcorePrefix = encoded(prefix);
  setHeaders(req, headers);
  req.complete = true;
  if (request.body.length > 0) req.push(request.body);
  req.push(null);
  return req;
}

/** Percent-encodes each byte of a target that is not ASCII, as apps in other languages get it. */
function encoded(target) {
  return target.replace(
    /[\x80-\xff]/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** A connection that collects the bytes that are written to it. */
class Connection extends Duplex {
  #written = [];

  _read() {}

  _write(chunk, _encoding, callback) {
    this.#written.push(chunk);
    callback();
  }

  setTimeout() {
    return this;
  }

  setNoDelay() {
    return this;
  }

  setKeepAlive() {
    return this;
  }

  /** Returns the reply that was written. */
  reply() {
    let rest = Buffer.concat(this.#written);
    for (;;) {
      const end = rest.indexOf("\r\n\r\n");
      const [first, ...lines] = rest.latin1Slice(0, end).split("\r\n");
      const status = Number(first.split(" ")[1]);
      rest = rest.subarray(end + 4);
      if (status < INTERIM_STATUS) continue;
      const headers = lines.map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon), Buffer.from(line.slice(colon + 2), "latin1")];
      });
      const metadata = headers.filter(([name]) => name.toLowerCase() !== "connection");
      return new Reply(rest, { status, metadata });
    }
  }
}

const http = deprecate(
  httpHandler,
  "nightcore: http is now httpHandler; the old name will go in a later release",
  "NIGHTCORE_HTTP",
);

module.exports = { http, httpHandler };
