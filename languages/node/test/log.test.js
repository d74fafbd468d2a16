"use strict";

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const { test } = require("node:test");

const LOG = require.resolve("../lib/log.js");

/** Runs a script in a process of its own, with this log key. */
function run(script, key) {
  const environment = { ...process.env, NIGHTCORE_LOG_KEY: key };
  if (key === undefined) delete environment.NIGHTCORE_LOG_KEY;
  return spawn(process.execPath, ["-e", script], {
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function text(stream) {
  let all = "";
  for await (const chunk of stream.setEncoding("utf8")) all += chunk;
  return all;
}

test("each line has the key of the process, or the id alone", async () => {
  const script = `require(${JSON.stringify(LOG)}).log("0000000000000007", "one %s\\ntwo\\n")`;
  const marked =
    "\x1e00000000000000aa0000000000000007 one %s\n\x1e00000000000000aa0000000000000007 two\n";
  assert.equal(await text(run(script, "00000000000000aa").stderr), marked);
  const plain = "0000000000000007 one %s\n0000000000000007 two\n";
  assert.equal(await text(run(script, undefined).stderr), plain);
});

test("a closed standard error does not end the process", async () => {
  const script = `
    const { log } = require(${JSON.stringify(LOG)});
    let left = 10;
    const write = () => {
      log("0000000000000007", "line");
      if (--left > 0) setImmediate(write);
      else console.log("lived");
    };
    process.stdin.once("end", write).resume();`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["pipe", "pipe", "pipe"] });
  child.stderr.destroy();
  await once(child.stderr, "close");
  child.stdin.end();
  assert.equal(await text(child.stdout), "lived\n");
});
