"use strict";

// Work that goes on after its request was answered. It is finished before the process ends.

/** The promises that the end of the process waits for. */
class Background {
  #running = new Set();

  /** Adds one; `failed` is told of its error. */
  add(promise, failed) {
    const settled = (async () => promise)()
      .catch(failed)
      .finally(() => this.#running.delete(settled));
    this.#running.add(settled);
  }

  /** Resolves when none is left, or when the engine waits no longer, which it says by SIGTERM. */
  async finished() {
    if (this.#running.size === 0) return;
    const over = new Promise((resolve) => this.#listen(resolve));
    const done = async () => {
      while (this.#running.size > 0) await Promise.all(this.#running);
    };
    await Promise.race([done(), over]);
  }

  #listen(resolve) {
    // Without a listener SIGTERM ends the process. A program with a listener of its own handles it.
    if (process.listenerCount("SIGTERM") === 0) process.once("SIGTERM", resolve);
  }
}

module.exports = { Background };
