"use strict";

// Where the addon for this Node is. Each has a name of its own: musl loads what was built for glibc
// without a word, as far as it finds the same names.

const { closeSync, openSync, readSync } = require("node:fs");
const { join } = require("node:path");

const libc = loader().includes("/ld-musl-") ? "-musl" : "";

module.exports = join(__dirname, "..", "native", `nightcore-linux-${process.arch}${libc}.node`);

/**
 * The loader that the program Node names, such as /lib/ld-musl-x86_64.so.1. It belongs to the C
 * library. Node's own report tells the C library as well, but costs an older Node some 50 ms.
 */
function loader() {
  const program = openSync("/proc/self/exe");
  const read = (at, length) => {
    const bytes = Buffer.alloc(length);
    return bytes.subarray(0, readSync(program, bytes, 0, length, at));
  };
  try {
    // The fields of the headers of a 64-bit ELF file, and the type of the one that has the loader.
    const header = read(0, 64);
    const [at, size] = [Number(header.readBigUInt64LE(32)), header.readUInt16LE(54)];
    for (let number = 0; number < header.readUInt16LE(56); number++) {
      const segment = read(at + number * size, size);
      if (segment.readUInt32LE(0) !== 3) continue;
      const [offset, length] = [8, 32].map((field) => Number(segment.readBigUInt64LE(field)));
      return read(offset, length).toString("latin1");
    }
    return "";
  } finally {
    closeSync(program);
  }
}
