"use strict";

// Tests of handlers' HTTP errors, of the HTTP statuses of answers, and of JSON.

const { test } = require("node:test");
const assert = require("node:assert/strict");
const { runInNewContext } = require("node:vm");
const {
  call,
  HttpError,
  httpHandler,
  HttpStatusError,
  Metadata,
  NightcoreError,
  Reply,
} = require("nightcore");
const { run } = require("nightcore/testing");
const { decode } = require("../lib/metadata.js");

test("an HTTP error is a reply", async () => {
  for (const [body, sent, type] of [
    ["no ü", "no ü", "text/plain; charset=utf-8"],
    [Buffer.from("bytes"), "bytes", undefined],
    [{ a: [1] }, '{"a":[1]}', "application/json"],
    [[1, "ü"], '[1,"ü"]', "application/json"],
  ]) {
    const answer = await run(() => {
      throw new HttpError(404, body, { metadata: { "X-A": "b" } });
    });
    assert.deepEqual([answer.status, answer.text()], [404, sent]);
    assert.equal(answer.metadata.get("content-type"), type);
    assert.equal(answer.metadata.get("x-a"), "b");
  }
  const metadata = { "Content-Type": "text/html" };
  const answer = await run(() => Promise.reject(new HttpError(400, "<p>", { metadata })));
  assert.deepEqual(answer.metadata.getAll("content-type"), ["text/html"]);
});

test("a status replaces the one in the metadata", async () => {
  const callee = await run(() => new Reply("", { status: 201, metadata: { "x-a": "b" } }));
  for (const metadata of [callee.metadata, { ":Status": "201", "x-a": "b" }]) {
    for (const handler of [
      () => Promise.reject(new HttpError(404, "", { metadata })),
      () => new Reply("", { status: 404, metadata }),
    ]) {
      const answer = await run(handler);
      assert.deepEqual(answer.metadata.getAll(":status"), ["404"]);
      assert.equal(answer.metadata.get("x-a"), "b");
    }
    assert.equal((await run(() => new Reply("", { metadata }))).status, 201);
  }
});

test("metadata of an answer go into a reply as the bytes that they are", async () => {
  const bytes = Buffer.from([0xff, 0x41, 0xfe]);
  const pairs = [[":status", "201"], ["x-a", bytes]]; // prettier-ignore
  const callee = await run(() => new Reply("", { metadata: pairs }));
  for (const handler of [
    () => new Reply("", { status: 404, metadata: callee.metadata }),
    () => Promise.reject(new HttpError(404, "", { metadata: callee.metadata })),
  ]) {
    const answer = await run(handler);
    const sent = decode(answer.metadata.encoded).find(([name]) => name === "x-a");
    assert.deepEqual([answer.status, sent[1]], [404, bytes]);
  }
});

test("an HTTP status is an integer in its range", () => {
  const code = "INVALID_ARGUMENT";
  for (const status of [200, 399, 600, -1, "404", 404.5, NaN, null]) {
    assert.throws(() => new HttpError(status), { code, message: /from 400 to 599, and is / });
  }
  for (const status of [199, 600, "200", 200.5]) {
    assert.throws(() => new Reply("", { status }), { code, message: /from 200 to 599, and is / });
  }
});

/** Returns the answer of a call to the function Callee. */
async function answerWith(status, body) {
  let answer;
  const handler = async (req) => {
    answer = await req.call("Callee");
  };
  await run(handler, "", { call: () => new Reply(body, { status }) });
  return answer;
}

test("a listener whose status is no HTTP status fails its call", async () => {
  const handler = httpHandler((_req, res) => res.writeHead(700).end());
  await assert.rejects(run(handler), { code: "INVALID_ARGUMENT", message: /and is 700/ });
});

test("a status that is no number is none", async () => {
  for (const sent of ["x", "", " 404", "-404", "4e2", "0x194", "65536", "9".repeat(5000)]) {
    const answer = await run(() => new Reply("", { metadata: { ":status": sent } }));
    assert.deepEqual([answer.status, answer.ok], [200, true], sent);
  }
  const answer = await run(() => new Reply("", { metadata: { ":status": "0404" } }));
  assert.equal(answer.status, 404);
});

test("an answer is ok from 200 to 299, and throws from 400 on", async () => {
  for (const [status, ok] of [
    [200, true],
    [204, true],
    [299, true],
    [302, false],
    [399, false],
  ]) {
    // prettier-ignore
    const answer = await answerWith(status, "x");
    assert.equal(answer.ok, ok, status);
    assert.equal(answer.throwForStatus(), answer);
  }
  const message = "answered with HTTP status 404";
  for (const [body, said] of [
    ["no such user", `${message}: no such user`],
    ["ü".repeat(300), `${message}: ${"ü".repeat(200)}`],
    ["😀".repeat(300), `${message}: ${"😀".repeat(200)}`],
    ["", message],
    [Buffer.from([0xff, 0xfe]), message],
  ]) {
    const answer = await answerWith(404, body);
    assert.equal(answer.ok, false);
    assert.throws(
      () => answer.throwForStatus(),
      (error) => {
        assert.ok(error instanceof HttpStatusError && error instanceof NightcoreError);
        assert.deepEqual([error.code, error.function], ["FUNCTION_FAILED", "Callee"]);
        assert.deepEqual([error.message, error.causes], [said, []]);
        assert.equal(error.answer, answer);
        return true;
      },
    );
  }
});

test("a plain object or an array is JSON", async () => {
  const foreign = runInNewContext("({ a: 1 })");
  for (const [returned, sent] of [
    [{ a: 1 }, '{"a":1}'],
    [foreign, '{"a":1}'],
    [Object.create(null, { a: { value: 1, enumerable: true } }), '{"a":1}'],
    [["a", 1], '["a",1]'],
    [[], "[]"],
  ]) {
    const answer = await run(() => returned);
    assert.deepEqual(
      [answer.text(), answer.metadata.get("content-type")],
      [sent, "application/json"],
    );
    const called = await run((req) => req.call("Callee", returned), "", {
      call: ({ body }) => body,
    });
    assert.equal(called.text(), sent);
  }
  for (const returned of [new Map(), new Date(), 7, new (class Own {})()]) {
    const message = /for JSON: req\.reply\("", { json: value }\)/;
    await assert.rejects(
      run(() => returned),
      { message },
    );
  }
});

test("JSON of a call has a content type", async () => {
  const types = async (...given) => {
    const types = [];
    await run((req) => req.call("Callee", ...given), "", {
      call: ({ metadata }) => void types.push(...metadata.getAll("content-type")),
    });
    return types;
  };
  const json = "application/json";
  assert.deepEqual(await types({ a: 1 }), [json]);
  assert.deepEqual(await types([1], { metadata: { "x-a": "b" } }), [json]);
  assert.deepEqual(await types("", { json: null }), [json]);
  assert.deepEqual(await types({}, { metadata: { "Content-Type": "a/b" } }), ["a/b"]);
  assert.deepEqual(await types("{}"), []);
  // This replaces the addon's function, which would send a process call to an engine.
  const addon = require("../lib/addon.js");
  const { startProcessCall } = addon;
  const sent = [];
  addon.startProcessCall = (_name, _body, _timeout, metadata) => {
    sent.push(Metadata.decode(metadata).get("content-type"));
    return { ended: Promise.resolve({ body: Buffer.alloc(0), metadata: Buffer.alloc(0) }) };
  };
  try {
    await call("Callee", { a: 1 });
    await call("Callee", "", { json: 1, metadata: { "content-type": "a/b" } });
  } finally {
    addon.startProcessCall = startProcessCall;
  }
  assert.deepEqual(sent, [json, "a/b"]);
});

test("old names warn once", async () => {
  const warnings = [];
  const listen = (warning) => warnings.push(`${warning.name} ${warning.code}`);
  process.on("warning", listen);
  const { http } = require("nightcore");
  const listener = (_req, res) => res.end("x");
  assert.equal((await run(http(listener))).text(), "x");
  assert.equal((await run(http(listener))).text(), "x");
  const answer = await run((req) => req.reply("", { headers: { a: "b" } }));
  assert.equal(answer.metadata.get("a"), "b");
  await new Promise(setImmediate);
  process.off("warning", listen);
  assert.deepEqual(warnings, [
    "DeprecationWarning NIGHTCORE_HTTP",
    "DeprecationWarning NIGHTCORE_HEADERS",
  ]);
});
