"use strict";

const { test } = require("node:test");
const assert = require("node:assert/strict");
const nightcore = require("nightcore");
const { run } = require("nightcore/testing");
const { encode, decode } = require("../lib/metadata.js");

test("both kinds of modules have the same", async () => {
  const esm = await import("nightcore");
  for (const name of Object.keys(nightcore)) assert.equal(esm[name], nightcore[name], name);
  assert.equal((await import("nightcore/testing")).run, run);
});

test("no private property of Node's HTTP is used", () => {
  const { readFileSync } = require("node:fs");
  const source = readFileSync(require.resolve("../lib/http.js"), "utf8");
  // Connection implements these methods of streams, which are public.
  const own = ["_read", "_write"];
  assert.deepEqual(source.match(/(?<=\W)_[a-z]\w+(?=\()/g).sort(), own);
});

test("metadata are ordered pairs", () => {
  const metadata = new nightcore.Metadata([
    ["X-A", "1"],
    ["b", ""],
    ["x-a", "2"],
  ]);
  assert.equal(metadata.get("X-a"), "1");
  assert.deepEqual(metadata.getAll("x-a"), ["1", "2"]);
  assert.deepEqual([metadata.has("b"), metadata.has("c")], [true, false]);
  assert.deepEqual([...metadata].length, 3);
  assert.deepEqual(decode(encode({ "X-A": ["1", "ü"], n: 3 }), "utf8"), [
    ["x-a", "1"],
    ["x-a", "ü"],
    ["n", "3"],
  ]);
  assert.equal(encode([]), undefined);
  assert.throws(() => encode({ a: "x".repeat(70_000) }), /"a" is too long/);
});

test("a handler is called without an engine", async () => {
  const handler = async (req) =>
    req.reply(await req.call("Bar", `${req.text()}!`).then((a) => a.body), { status: 201 });
  const answer = await run(handler, "Hello", {
    call: ({ function: name, body }) => `${name} ${body}`,
  });
  assert.deepEqual([answer.status, answer.text()], [201, "Bar Hello!"]);
  await assert.rejects(run(handler, "Hello"), { code: "NOT_FOUND", function: "Bar" });
  const fails = () => {
    throw new Error("no such user");
  };
  await assert.rejects(run(handler, "", { call: fails }), {
    code: "FUNCTION_FAILED",
    message: "no such user",
  });
});

test("a request without an engine says what the test says", async () => {
  const options = {
    function: "Foo",
    caller: "Baz",
    metadata: { "x-a": "1" },
    timeLeft: 1000,
    signal: AbortSignal.abort(),
  };
  const answer = await run(
    (req) => {
      const { function: name, caller, metadata, timeLeft, signal } = req;
      return [name, caller, metadata.get("x-a"), timeLeft <= 1000, signal.aborted].join(" ");
    },
    "",
    options,
  );
  assert.equal(answer.text(), "Foo Baz 1 true true");
});

test("a call without an engine has its signal and a timeout of more than 0", async () => {
  const stuck = { call: () => new Promise(() => {}) };
  const reason = new Error("given up");
  const early = (req) => req.call("Bar", "", { signal: AbortSignal.abort(reason) });
  await assert.rejects(run(early, "", { call: () => "" }), reason);
  const late = async (req) => {
    const controller = new AbortController();
    const called = req.call("Bar", "", { signal: controller.signal });
    controller.abort(reason);
    return called;
  };
  await assert.rejects(run(late, "", stuck), reason);
  const within = (controller) => (req) => req.call("Bar", "", { signal: controller.signal });
  const controller = new AbortController();
  const aborts = { call: () => (controller.abort(reason), new Promise(() => {})) };
  await assert.rejects(run(within(controller), "", aborts), reason);
  for (const timeout of [0, -1, NaN, "1"]) {
    const brief = (req) => req.call("Bar", "", { timeout });
    await assert.rejects(run(brief, "", { call: () => "" }), { code: "INVALID_ARGUMENT" });
  }
});

test("what a handler gives to waitUntil may fail before the handler ends", async () => {
  const failed = new Error("too late");
  const unhandled = [];
  const listen = (error) => unhandled.push(error);
  process.on("unhandledRejection", listen);
  const handler = async (req) => {
    req.waitUntil(Promise.reject(failed));
    await new Promise(setImmediate);
    return "x";
  };
  await assert.rejects(run(handler), failed);
  process.off("unhandledRejection", listen);
  assert.deepEqual(unhandled, []);
});

test("what cannot be served is refused", () => {
  assert.throws(() => nightcore.serve({ Foo: 1 }), /the handler of "Foo" is not a function/);
  assert.throws(() => nightcore.httpHandler({}), /httpHandler takes a listener/);
});
