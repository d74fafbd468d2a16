"use strict";

const { join } = require("node:path");

if (process.platform !== "linux") {
  throw new Error(`Nightcore runs on Linux, not on ${process.platform}`);
}

const file = join(__dirname, "..", "native", `nightcore-linux-${process.arch}.node`);
try {
  module.exports = require(file);
} catch (error) {
  throw new Error(
    `the addon of the package nightcore cannot be loaded; reinstall the package: ${error.message}`,
    {
      cause: error,
    },
  );
}
