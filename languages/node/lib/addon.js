"use strict";

if (process.platform !== "linux") {
  throw new Error(`Nightcore runs on Linux, not on ${process.platform}`);
}

try {
  module.exports = require(require("./native.js"));
} catch (error) {
  throw new Error(
    `the addon of the package nightcore cannot be loaded; reinstall the package: ${error.message}`,
    {
      cause: error,
    },
  );
}
