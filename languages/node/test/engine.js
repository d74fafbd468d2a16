"use strict";

// An engine that runs functions of worker.js.

const { spawn, execFileSync } = require("node:child_process");
const { mkdtempSync, rmSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");
const { tmpdir } = require("node:os");
const assert = require("node:assert/strict");

const WORKER = join(__dirname, "worker.js");
const WITHIN_MS = 20_000;
const HEAD = '[gateway]\nlisten = "127.0.0.1:0"\n[defaults]\nexpose_errors = true\n';

/**
 * Starts an engine with these functions, which ends with the test. `lines` has lines of their
 * configuration by name.
 */
async function start(t, names, lines = {}, program = WORKER) {
  const home = mkdtempSync(join(tmpdir(), "nc"));
  const command = JSON.stringify([process.execPath, program]);
  const functions = names.map(
    (name) => `[functions.${name}]\ncommand = ${command}\n${lines[name] ?? ""}\n`,
  );
  writeFileSync(join(home, "nightcore.toml"), `${HEAD}${functions.join("")}`);
  const directory = join(home, "e");
  const up = [
    "up",
    "--config",
    join(home, "nightcore.toml"),
    "--dir",
    directory,
    "--ready-fd",
    "3",
  ];
  const child = spawn("nightcore", up, { stdio: ["ignore", "ignore", "pipe", "pipe"] });
  let said = "";
  child.stderr.on("data", (data) => (said += data));
  const ended = new Promise((resolve) => child.once("exit", resolve));
  t.after(async () => {
    child.kill("SIGTERM");
    assert.equal(await ended, 0, said);
    rmSync(home, { recursive: true });
  });
  const line = await new Promise((resolve) => {
    let text = "";
    child.stdio[3].on("data", (data) => (text += data));
    child.stdio[3].once("end", () => resolve(text));
  });
  assert.match(line, /^ready:/, said);
  const url = /http:[^,\s]*/.exec(line)[0];

  const engine = {
    url,
    async post(path, body = "", options = {}) {
      const response = await fetch(`${url}/function/${path}`, {
        method: "POST",
        body,
        signal: AbortSignal.timeout(WITHIN_MS),
        ...options,
      });
      return { status: response.status, text: await response.text(), headers: response.headers };
    },
    async answers(path, body, expected) {
      const { status, text } = await engine.post(path, body);
      assert.deepEqual([status, text], [200, expected]);
    },
    async problem(path, body) {
      const { status, text } = await engine.post(path, body);
      assert.ok(status >= 400, text);
      return JSON.parse(text).detail;
    },
    /** Waits until a function gives the expected answer. */
    async becomes(path, body, expected) {
      const end = Date.now() + WITHIN_MS;
      for (;;) {
        const { text } = await engine.post(path, body);
        if (text === expected) return;
        assert.ok(Date.now() < end, `${path} answers ${text} and not ${expected}`);
      }
    },
    reload: (name) =>
      execFileSync("nightcore", ["reload", "--dir", directory, name], { encoding: "utf8" }),
    home,
    log: (name) =>
      execFileSync("nightcore", ["logs", "--dir", directory, name], { encoding: "utf8" }),
    /** Waits until a function has printed this text. */
    async logged(name, text) {
      const end = Date.now() + WITHIN_MS;
      while (!engine.log(name).includes(text)) {
        assert.ok(Date.now() < end, `${text} is not in\n${engine.log(name)}`);
        await new Promise(setImmediate);
      }
    },
  };
  return engine;
}

module.exports = { WORKER, start };
