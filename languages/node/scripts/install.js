"use strict";

// Builds the addon and the engine. A published package brings both, and nothing is built.

const { spawnSync } = require("node:child_process");
const { chmodSync, copyFileSync, existsSync, mkdirSync } = require("node:fs");
const { join } = require("node:path");

const home = join(__dirname, "..");
const repository = join(home, "..", "..");
const engine = join(home, "bin", "nightcore");
const isCheckout = existsSync(join(repository, "bindings", "node", "Cargo.toml"));

if (process.platform !== "linux") fail(`it runs on Linux, not on ${process.platform}`);
const addon = require("../lib/native.js");
if (!isCheckout && existsSync(addon) && existsSync(engine)) process.exit(0);
if (!isCheckout) fail(`there is no prebuilt addon for ${process.arch} in this package`);

const cargo = ["build", "--locked", "--release", "-p", "nightcore-node", "-p", "nightcore-engine"];
const built = spawnSync("cargo", [...cargo, "--message-format=json-render-diagnostics"], {
  cwd: repository,
  stdio: ["ignore", "pipe", "inherit"],
  encoding: "utf8",
  maxBuffer: Infinity,
});
if (built.error) fail("cargo is not there: install rustup, see https://rustup.rs");
if (built.status !== 0) fail("cargo build failed; its messages are above");

const messages = built.stdout.split("\n").filter(Boolean).map(JSON.parse);
const artifact = (name, pattern) =>
  messages
    .filter((message) => message.reason === "compiler-artifact" && message.target.name === name)
    .flatMap((message) => message.filenames)
    .find((file) => pattern.test(file));
install(artifact("nightcore_node", /\.so$/), addon);
install(artifact("nightcore", /nightcore$/), engine);

function install(from, to) {
  mkdirSync(join(to, ".."), { recursive: true });
  copyFileSync(from, to);
  chmodSync(to, 0o755);
}

function fail(text) {
  console.error(`nightcore: the package cannot be installed: ${text}`);
  process.exit(1);
}
