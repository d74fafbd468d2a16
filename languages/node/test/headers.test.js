"use strict";

// Tests that a listener sees the same headers as with Node's own server.

const { test } = require("node:test");
const assert = require("node:assert/strict");
const { createServer } = require("node:http");
const { connect } = require("node:net");
const { httpHandler } = require("nightcore");
const { run } = require("nightcore/testing");

const PAIRS = [
  ["host", "a"],
  ["cookie", "a=1"],
  ["cookie", "b=2"],
  ["set-cookie", "c"],
  ["set-cookie", "d"],
  ["x-many", "1"],
  ["x-many", "2, 3"],
  ["accept", "a"],
  ["accept", "b"],
  ["x-latin", "\xfc"],
  ...["age", "authorization", "content-type", "etag", "expires", "from", "if-modified-since"],
  ...["if-unmodified-since", "last-modified", "location", "max-forwards", "proxy-authorization"],
  ...["referer", "retry-after", "server", "user-agent", "x-empty"],
].flatMap((each) =>
  Array.isArray(each)
    ? [each]
    : [
        [each, "first"],
        [each, "second"],
      ],
);

const seen = ({ headers, headersDistinct, rawHeaders, trailers }) => ({
  headers: Object.entries(headers),
  distinct: Object.entries(headersDistinct),
  raw: rawHeaders,
  trailers,
});

async function seenByNode() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const socket = connect(server.address().port, "127.0.0.1");
  const lines = PAIRS.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  socket.write(`GET / HTTP/1.1\r\n${lines}\r\n`, "latin1");
  const request = await new Promise((resolve) => server.once("request", resolve));
  socket.destroy();
  server.close();
  return seen(request);
}

test("a listener sees the headers that Node's server would give it", async () => {
  const expected = await seenByNode();
  assert.ok(expected.raw.length === 2 * PAIRS.length);
  let request;
  const handler = httpHandler((req, res) => {
    request = req;
    res.end();
  });
  const metadata = PAIRS.map(([name, value]) => [name, Buffer.from(value, "latin1")]);
  await run(handler, "", { metadata: [[":path", "/"], ...metadata] });
  assert.deepEqual(seen(request), expected);
});
