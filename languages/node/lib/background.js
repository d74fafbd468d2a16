"use strict";

// Work that goes on after its request has its reply. The process ends only when it is finished.

/** The promises that the process waits for before it ends. */
class Background {
  #running = new Set();

  /** Adds a promise. `failed` gets its error. */
  add(promise, failed) {
    const settled = (async () => promise)()
      .catch(failed)
      .finally(() => this.#running.delete(settled));
    this.#running.add(settled);
  }

  /** Resolves when no promise is left, or when the engine stops waiting and sends SIGTERM. */
  async finished() {
    if (this.#running.size === 0) return;
    const over = new Promise((resolve) => this.#listen(resolve));
    const done = async () => {
      while (this.#running.size > 0) await Promise.all(this.#running);
    };
    await Promise.race([done(), over]);
  }

  #listen(resolve) {
    // Without a listener, SIGTERM ends the process. If the program has a listener, it handles the
    // signal itself.
    if (process.listenerCount("SIGTERM") === 0) process.once("SIGTERM", resolve);
  }
}

module.exports = { Background };
