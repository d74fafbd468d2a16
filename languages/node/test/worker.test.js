"use strict";

const { test } = require("node:test");
const assert = require("node:assert/strict");
const { execFileSync, spawnSync } = require("node:child_process");
const { readFileSync, writeFileSync } = require("node:fs");
const { request } = require("node:http");
const { join } = require("node:path");
const { WORKER, start } = require("./engine.js");

test("functions call each other", async (t) => {
  await (await start(t, ["Foo", "Bar"])).answers("Foo", "Hello", "From function Bar: Hello, World");
});

test("JSON, status and metadata go both ways", async (t) => {
  const engine = await start(t, ["Json", "Shape"]);
  const { status, text, headers } = await engine.post("Json", '{"a":[1,"ü"]}');
  assert.deepEqual([status, text], [201, '{"got":{"a":[1,"ü"]}}']);
  assert.equal(headers.get("x-kind"), "test");
  assert.deepEqual(headers.getSetCookie(), ["a", "b"]);
  assert.equal(headers.get("content-type"), "application/json");
});

for (const channel of ["ring", "fifo"]) {
  test(`the rest of the loop goes on while calls go back and forth: ${channel}`, async (t) => {
    const engine = await start(t, ["Others", "Bar"], { Others: `channel = "${channel}"` });
    await engine.answers("Others", "", "");
  });

  test(`an idle worker uses no CPU: ${channel}`, async (t) => {
    const engine = await start(t, ["Cpu"], { Cpu: `channel = "${channel}"` });
    const micros = async () => Number((await engine.post("Cpu")).text);
    let began;
    for (let i = 0; i < 100; i++) began = await micros();
    // The worker is idle if it uses little CPU time for a second.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    assert.ok((await micros()) - began < 100_000);
  });
}

test("calls that sleep do so together", async (t) => {
  const engine = await start(t, ["Gather", "Sleep"]);
  const began = Date.now();
  await engine.answers("Gather", "Sleep 100", "100");
  // One after the other, the calls would take 10 s.
  assert.ok(Date.now() - began < 2000);
});

test("a function may call itself", async (t) => {
  const engine = await start(t, ["Again"]);
  await Promise.all(Array.from({ length: 32 }, () => engine.answers("Again", "", "twice")));
});

test("a call ends with its signal, its timeout, and its request", async (t) => {
  const engine = await start(t, ["GiveUp", "Stuck"]);
  await engine.answers("GiveUp", "abort", "TimeoutError 23");
  await engine.becomes("Stuck", "?", "1");
  await engine.answers("GiveUp", "timeout", "NightcoreError DEADLINE_EXCEEDED");
  await engine.becomes("Stuck", "?", "2");
  await engine.answers("GiveUp", "return", "returned");
});

test("failures and misuse are told clearly", async (t) => {
  const engine = await start(t, ["Fails", "Bar"]);
  for (const [what, said] of Object.entries({
    throw: /no such user/,
    text: /a text/,
    object: /what a handler returns is .*, not Map; for JSON: req\.reply\("", { json: value }\)/,
    array: /an array, which becomes JSON, and has bytes in it; join them by Buffer\.concat/,
    promise: /the body of a call is a Buffer, .*, not Promise; await it first/,
    number: /not Number/,
    callee: /Nobody: NOT_FOUND: there is no function "Nobody"/,
    timeout: /INVALID_ARGUMENT: a timeout must be a number more than 0, and is 1/,
    metadata: /a metadata name must be 1 to 255 visible ASCII characters/,
    status: /INVALID_ARGUMENT: an HTTP status must be an integer from 200 to 599, and is 99/,
    serve: /this process serves already: one process hosts one function/,
    thread: /a worker thread cannot serve: call serve in the main thread/,
  })) {
    assert.match(await engine.problem("Fails", what), said, what);
  }
  const { text } = await engine.post("Fails", "fork");
  assert.match(text, /^2 nightcore: .*another worker's token/);
  await engine.logged("Fails", "TypeError: no such user");
  await engine.answers("Bar", "others go on", "From function Bar: others go on");
});

test("a failure is told at once, whatever the error is", async (t) => {
  const engine = await start(t, ["Hostile"]);
  const { text } = await engine.post("Hostile", "?");
  const kinds = text.split(",");
  assert.ok(kinds.length > 15);
  // The calls run at once, so that none may block or end another one.
  const failed = kinds.map(async (kind) => {
    const { status, text } = await engine.post("Hostile", kind, {
      signal: AbortSignal.timeout(5_000),
    });
    assert.equal(status, 500, `${kind}: ${text}`);
    assert.equal(JSON.parse(text).error, "FUNCTION_FAILED");
  });
  await Promise.all(failed);
  await engine.answers("Hostile", "?", text);
});

test("what is not awaited fails its own request", async (t) => {
  const engine = await start(t, ["Forgets", "Sleep"]);
  const { text: pid } = await engine.post("Forgets", "");
  const lines = readFileSync(WORKER, "utf8").split("\n");
  for (const what of ["call", "process call"]) {
    assert.match(
      await engine.problem("Forgets", what),
      /a call of Nobody that is not awaited failed: NOT_FOUND/,
    );
    await engine.logged(
      "Forgets",
      'nobody awaits it: NightcoreError: there is no function "Nobody"',
    );
    await engine.logged(
      "Forgets",
      `worker.js:${1 + lines.findIndex((line) => line.includes(`the line of the ${what}`))}:`,
    );
  }
  assert.match(
    await engine.problem("Forgets", "mistake"),
    /something that is not awaited failed: the body of a call/,
  );
  assert.match(
    await engine.problem("Forgets", "helper"),
    /something that is not awaited failed: in a helper/,
  );
  await engine.answers("Forgets", "under way", pid);
  await engine.logged(
    "Forgets",
    "failed after its handler had returned, and nobody awaits it: NightcoreError: the request",
  );
  await engine.answers("Forgets", "", pid);
});

test("an error's stack has the line of the call", async (t) => {
  const engine = await start(t, ["Line"]);
  const { text } = await engine.post("Line");
  assert.match(text, /^NightcoreError: there is no function "Nobody"\n {4}at Line .*worker\.js:/);
});

test("bytes of another realm are bytes", async (t) => {
  await (await start(t, ["Realm", "Bar"])).answers("Realm", "", "y");
});

test("a request is used in its time", async (t) => {
  const engine = await start(t, ["Late", "Bar"]);
  await engine.answers("Late", "", "");
  await engine.answers(
    "Late",
    "?",
    "INVALID_STATE: the request has ended: make its calls before its handler returns",
  );
});

/** Creates a named pipe. Writing to it ends the work that a function does after its answer. */
function namedPipe(engine) {
  const pipe = join(engine.home, "pipe");
  execFileSync("mkfifo", [pipe]);
  return pipe;
}

for (const name of ["After", "AfterFailing", "AfterPage"]) {
  test(`work after the answer is finished before the process ends: ${name}`, async (t) => {
    const engine = await start(t, [name]);
    const pipe = namedPipe(engine);
    const { text: old } = await engine.post(name, pipe);
    engine.reload(name);
    assert.notEqual((await engine.post(name)).text, old);
    assert.doesNotMatch(engine.log(name), /served/);
    writeFileSync(pipe, "");
    await engine.logged(name, "served");
    const log = engine.log(name);
    assert.ok(log.indexOf("finished") < log.indexOf("served"), log);
    if (name === "AfterFailing")
      assert.match(log, /failed after its handler had returned: Error: too late/);
  });
}

test("work after the answer calls until its process ends", async (t) => {
  const engine = await start(t, ["Order", "Bar"]);
  const pipe = namedPipe(engine);
  const { text: old } = await engine.post("Order", pipe);
  engine.reload("Order");
  assert.notEqual((await engine.post("Order")).text, old);
  writeFileSync(pipe, "");
  await engine.logged("Order", "From function Bar: later");
});

test("a process calls for the first time as it ends", async (t) => {
  const engine = await start(t, ["Farewell", "Bar"]);
  engine.reload("Farewell");
  await engine.logged("Farewell", "From function Bar: farewell");
});

test("a call outside of requests ends with its signal and its timeout", async (t) => {
  const engine = await start(t, ["Outside", "Stuck"]);
  assert.match(
    (await engine.post("Outside", "early")).text,
    /^INVALID_STATE: this process does not serve yet/,
  );
  await engine.answers("Outside", "abort", "TimeoutError 23");
  await engine.becomes("Stuck", "?", "1");
  await engine.answers("Outside", "timeout", "NightcoreError DEADLINE_EXCEEDED");
  await engine.becomes("Stuck", "?", "2");
});

test("work that does not end is waited for until the timeout", async (t) => {
  const engine = await start(t, ["After"], { After: 'stop_timeout = "100ms"' });
  await engine.post("After", namedPipe(engine));
  engine.reload("After");
  await engine.logged("After", "served");
  assert.doesNotMatch(engine.log("After"), /finished/);
});

test("what no handler catches ends the process, as in any program of Node's", async (t) => {
  const engine = await start(t, ["Uncaught"]);
  const { text: before } = await engine.post("Uncaught");
  await engine.post("Uncaught", "now");
  await engine.logged("Uncaught", "Error: outside of any handler");
  const end = Date.now() + 20_000;
  for (;;) {
    const { status, text } = await engine.post("Uncaught");
    if (status === 200 && text !== before) break;
    assert.ok(Date.now() < end);
  }
});

test("a program that Nightcore has not started says how to", () => {
  const { status, stderr } = spawnSync(process.execPath, [WORKER], { encoding: "utf8" });
  assert.equal(status, 2);
  assert.match(stderr, /was not started by Nightcore.*nightcore up/s);
  assert.doesNotMatch(stderr, /at /);
});

test("an HTTP listener that is late is told so", async (t) => {
  const engine = await start(t, ["Page", "Stuck"]);
  const { status } = await engine.post("Page/late", "", { headers: { "X-Timeout-Ms": "100" } });
  assert.equal(status, 504);
  await engine.logged("Page", "told DEADLINE_EXCEEDED of Stuck: the deadline");
  assert.doesNotMatch(engine.log("Page"), /closed before|make its calls before/);
});

test("a response that breaks, or is written to when it is over, ends no process", async (t) => {
  const engine = await start(t, ["Page"]);
  const { text: pid } = await engine.post("Page/pid");
  assert.match(await engine.problem("Page/broken"), /the database is away/);
  await engine.answers("Page/after", "", "all");
  await engine.logged("Page", "written");
  await engine.answers("Page/pid", "", pid);
});

test("an HTTP listener is a function", async (t) => {
  const engine = await start(t, ["Page"]);
  const response = await new Promise((resolve, reject) => {
    const sent = request(`${engine.url}/function/Page/a%2Fb?c=d`, {
      method: "PUT",
      headers: { "X-Many": ["1", "2"] },
    });
    sent.once("response", async (got) => {
      got.body = Buffer.concat(await got.toArray()).toString();
      resolve(got);
    });
    sent.once("error", reject);
    sent.end("body");
  });
  assert.equal(response.statusCode, 418);
  assert.equal(response.headers["x-method"], "PUT");
  assert.deepEqual(response.headers["set-cookie"], ["a=1", "b=2"]);
  assert.equal(response.headers["content-type"], "text/tea");
  assert.equal(response.body, "/function/Page /a%2Fb?c=d body 1, 2");
  assert.equal((await engine.post("Page", "", { method: "FOO" })).status, 501);
  assert.match(await engine.problem("Page/throw", ""), /thrown by the listener/);
  assert.match(await engine.problem("Page/upgrade", ""), /closed before there was an answer/);
});
