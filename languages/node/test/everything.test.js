"use strict";

// Tests of everything.mts, a TypeScript program that uses all of the package: `tsc` checks its
// types, and an engine runs it.

const { before, test } = require("node:test");
const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const { start } = require("./engine.js");

const FOLDER = join(__dirname, "types");
const PROGRAM = join(FOLDER, "built", "everything.mjs");

before(() => {
  const tsc = join(__dirname, "..", "node_modules", ".bin", "tsc");
  try {
    execFileSync(tsc, ["--project", FOLDER], { encoding: "utf8" });
  } catch (error) {
    assert.fail(error.stdout);
  }
});

test("the program uses every public name", () => {
  const program = readFileSync(join(FOLDER, "everything.mts"), "utf8");
  for (const file of ["index.d.ts", "testing.d.ts"]) {
    const types = readFileSync(join(__dirname, "..", "lib", file), "utf8");
    // Deprecated declarations are left out. A comment before each of them marks it as deprecated.
    const current = types.replace(/\/\*\* @deprecated [^]*?\*\/\n.*;\n/g, "");
    const exported = [...current.matchAll(/^export (?:class|interface|type|function) (\w+)/gm)];
    assert.ok(exported.length > 0, file);
    for (const [, name] of exported) assert.match(program, new RegExp(`\\b${name}\\b`), name);
    const members = [
      ...current.matchAll(/^ +(?:readonly )?(?!constructor)(\w+)\??(?:<.*>)?[(:]/gm),
    ];
    for (const [, name] of members) assert.match(program, new RegExp(`\\b${name}\\b`), name);
  }
});

test("the functions of the program answer as expected", async (t) => {
  const cases = [
    ["FindUser", "Ada", '{"name":"Ada","age":3}'],
    ["ListUsers", "", '["false"]'],
    ["Pass", "Ada", '{"name":"Ada","age":3}'],
    ["Strict", "Ada", "Ada 3 true"],
    [
      "Strict",
      "nobody",
      "404 false text/plain; charset=utf-8 answered with HTTP status 404: there is no nobody",
    ],
    [
      "Strict",
      "retired",
      '410 false application/json answered with HTTP status 410: {"gone":"retired"}',
    ],
    ["About", "", '{"function":"About","caller":null,"id":16,"inTime":true}'],
    ["Outside", "", "text [1]"],
    ["Catch", "OVERLOADED", "Fail OVERLOADED as it was told; Below OVERLOADED it began"],
    ["Catch", "CANCELLED", "Fail CANCELLED as it was told; "],
    ["Nothing", "", ""],
    ["Text", "", "text"],
  ];
  const names = new Set([...cases.map(([name]) => name), "Shape", "Upper", "Web", "Listener"]);
  const engine = await start(t, [...names, "Fail", "StrictPlain"], {}, PROGRAM);
  for (const [name, body, said] of cases) {
    const { status, text } = await engine.post(name, body);
    assert.deepEqual([status, text.slice(0, said.length)], [200, said], `${name} ${body}`);
    if (said === "") assert.equal(text, "");
  }

  const missing = await engine.post("FindUser", "nobody");
  assert.deepEqual([missing.status, missing.text], [404, "there is no nobody"]);
  assert.equal(missing.headers.get("content-type"), "text/plain; charset=utf-8");
  assert.equal(missing.headers.get("x-reason"), "unknown");
  const gone = await engine.post("Pass", "retired");
  assert.deepEqual([gone.status, gone.text], [410, '{"gone":"retired"}']);
  assert.equal(gone.headers.get("content-type"), "application/json");
  const shape = await engine.post("Shape", "[1]");
  assert.deepEqual([shape.status, shape.text], [201, "[1]"]);
  // An HTTP error is deliberate, so it is not logged.
  assert.equal(engine.log("FindUser"), "");

  // If a caller does not accept an answer, its failure names the function that gave the answer.
  const { status, text } = await engine.post("StrictPlain", "nobody");
  assert.equal(status, 500);
  assert.deepEqual(JSON.parse(text).cause, [
    {
      error: "FUNCTION_FAILED",
      function: "FindUser",
      message: "answered with HTTP status 404: there is no nobody",
    },
  ]);

  const upper = await fetch(`${engine.url}/function/Web/upper/ada`);
  assert.deepEqual(await upper.json(), { upper: "ADA", prefix: "/function/Web" });
  const listened = await engine.post("Listener", "", { headers: { "x-many": "1, 2" } });
  assert.deepEqual([listened.headers.get("x-id"), listened.text], ["16", "1, 2"]);
  const teapot = await engine.post("Listener/fail");
  assert.deepEqual([teapot.status, teapot.text], [418, "a teapot"]);
});
