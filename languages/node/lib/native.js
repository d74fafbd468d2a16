"use strict";

// Finds the native addon for this processor architecture and C library. The addons for glibc and
// musl have different names, because musl loads a library that was built for glibc without an
// error, as long as musl finds all symbols.

const { closeSync, openSync, readSync } = require("node:fs");
const { join } = require("node:path");

const libc = loader().includes("/ld-musl-") ? "-musl" : "";

module.exports = join(__dirname, "..", "native", `nightcore-linux-${process.arch}${libc}.node`);

/**
 * Returns the dynamic loader that Node's program names, such as /lib/ld-musl-x86_64.so.1. The
 * loader belongs to the C library. `process.report` names the C library as well, but takes about
 * 50 ms in older versions of Node.
 */
function loader() {
  const program = openSync("/proc/self/exe");
  const read = (at, length) => {
    const bytes = Buffer.alloc(length);
    return bytes.subarray(0, readSync(program, bytes, 0, length, at));
  };
  try {
    // The offsets are those of a 64-bit ELF file. The program header of type PT_INTERP (3) gives
    // the place and the length of the loader's name.
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
