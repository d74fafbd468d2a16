"use strict";

// The functions that the tests call.

const cluster = require("node:cluster");
const { readFile } = require("node:fs/promises");
const { Worker } = require("node:worker_threads");
const { createServer } = require("node:http");
const { connect, createServer: createTcpServer } = require("node:net");
const { runInNewContext } = require("node:vm");
const { call, HttpError, httpHandler, NightcoreError, serve } = require("../lib/index.js");

let cancelled = 0;
let kept;

const listener = (req, res) => {
  if (req.url === "/throw") throw new Error("thrown by the listener");
  if (req.url === "/upgrade") return res.socket.destroy();
  if (req.url === "/pid") return res.end(String(process.pid));
  if (req.url === "/broken") return res.destroy(new Error("the database is away"));
  if (req.url === "/after") {
    res.once("close", () => {
      res.write("more");
      console.log("written");
    });
    return res.end("all");
  }
  if (req.url === "/late") {
    const told = (error) =>
      req.nightcore.log(`told ${error.code} of ${error.function}: ${error.message}`);
    return req.nightcore.call("Stuck").catch(told);
  }
  const chunks = [];
  req.on("data", (chunk) => chunks.push(chunk));
  req.on("end", () => {
    res.writeHead(418, {
      "X-Method": req.method,
      "Set-Cookie": ["a=1", "b=2"],
      "Content-Type": "text/tea",
    });
    res.write(`${req.nightcorePrefix} ${req.url} `);
    res.end(`${Buffer.concat(chunks)} ${req.headers["x-many"]}`);
  });
};

const functions = {
  Foo: (req) => req.call("Bar", `${req.text()}, World`),
  Bar: (req) => `From function Bar: ${req.text()}`,
  Shape: (req) => {
    const metadata = { "X-Kind": req.metadata.get("x-kind"), "set-cookie": ["a", "b"] };
    return req.reply({ got: req.json() }, { status: 201, metadata });
  },
  Json: (req) => req.call("Shape", undefined, { json: req.json(), metadata: { "X-Kind": "test" } }),
  // Makes calls in sequence until a timer has fired and a socket has echoed 20 bytes.
  Others: async (req) => {
    const turns = 20;
    let [ticks, talks, calls] = [0, 0, 0];
    const interval = setInterval(() => ticks++, 1);
    const server = createTcpServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const socket = connect(server.address().port, "127.0.0.1", () => socket.write("x"));
    socket.on("data", () => {
      if (++talks < turns) socket.write("x");
    });
    while (ticks === 0 || talks < turns) {
      if (++calls === 1000) throw new Error(`${ticks} ticks, ${talks} talks`);
      await req.call("Bar");
    }
    clearInterval(interval);
    socket.destroy();
    server.close();
  },
  Cpu: () => String(process.cpuUsage().user + process.cpuUsage().system),
  Sleep: () => new Promise((resolve) => setTimeout(resolve, 100)),
  Gather: async (req) => {
    const [name, count] = req.text().split(" ");
    return String(
      (await Promise.all(Array.from({ length: Number(count) }, () => req.call(name)))).length,
    );
  },
  Again: (req) => (req.body.length > 0 ? req.body : req.call("Again", "twice")),
  Stuck: (req) => {
    if (req.body.length > 0) return String(cancelled);
    return new Promise((resolve) => {
      req.signal.addEventListener("abort", () => {
        cancelled++;
        resolve();
      });
    });
  },
  GiveUp: async (req) => {
    const how = req.text();
    if (how === "return") {
      req.call("Stuck").catch(() => {});
      return "returned";
    }
    const options = how === "abort" ? { signal: AbortSignal.timeout(20) } : { timeout: 20 };
    try {
      await req.call("Stuck", "", options);
    } catch (error) {
      return `${error.name} ${error.code}`;
    }
    return "nothing";
  },
  Fails: async (req) => {
    switch (req.text()) {
      case "throw":
        throw new TypeError("no such user");
      case "text":
        throw "a text"; // eslint-disable-line no-throw-literal
      case "object":
        return new Map();
      case "array":
        return [req.body, ", World"];
      case "number":
        return 7;
      case "promise":
        return req.call("Bar", req.call("Bar"));
      case "callee":
        return req.call("Nobody");
      case "timeout":
        return req.call("Bar", "", { timeout: "1" });
      case "metadata":
        return req.call("Bar", "", { metadata: { "a b": "c" } });
      case "status":
        return req.reply("", { status: 99 });
      case "serve":
        return serve(functions);
      case "thread":
        return new Promise((resolve, reject) => {
          new Worker(__filename, { stderr: true }).once("error", reject).once("exit", resolve);
        });
      case "fork":
        return new Promise((resolve) => {
          cluster.setupPrimary({ exec: __filename, silent: true });
          const worker = cluster.fork();
          let said = "";
          worker.process.stderr.on("data", (data) => (said += data));
          worker.once("exit", (code) => resolve(`${code} ${said}`));
        });
    }
  },
  // Throws errors and returns answers that throw when the library reads them.
  Hostile: (req) => {
    const angry = () => {
      throw new Error("angry");
    };
    const throws = (property) => Object.defineProperty(new Error("x"), property, { get: angry });
    const proxy = new Proxy({}, { get: angry, getPrototypeOf: angry });
    const error = (properties) =>
      Object.assign(new NightcoreError("FUNCTION_FAILED", "x"), properties);
    const kinds = {
      null: () => {
        throw Object.create(null);
      },
      undefined: () => Promise.reject(),
      symbol: () => Promise.reject(Symbol("s")),
      surrogate: () => Promise.reject(new Error("\udcff")),
      message: () => Promise.reject(Object.assign(new Error("x"), { message: {} })),
      "own message": () => Promise.reject(error({ message: { toString: angry } })),
      getter: () => Promise.reject(throws("message")),
      stack: () => Promise.reject(throws("stack")),
      inspect: () => Promise.reject({ [Symbol.for("nodejs.util.inspect.custom")]: angry }),
      proxy: () => Promise.reject(proxy),
      "HTTP body": () => Promise.reject(new HttpError(404, new Map())),
      "HTTP metadata": () => Promise.reject(new HttpError(404, "", { metadata: { "a b": "c" } })),
      "HTTP status": () => Promise.reject(new HttpError(200)),
      "own HTTP status": () => Promise.reject(Object.assign(new HttpError(404), { status: 99 })),
      JSON: () => ({ toJSON: angry }),
      causes: () => Promise.reject(error({ causes: 7 })),
      "a cause": () => Promise.reject(error({ causes: [{ code: "NOTHING" }] })),
      code: () => Promise.reject(error({ code: {} })),
      function: () => Promise.reject(error({ function: { toString: angry } })),
      then: () => ({
        get then() {
          return angry();
        },
      }),
      "then throws": () => ({ then: angry }),
      "then twice": () => ({
        then: (good, bad) => {
          bad(new Error("x"));
          good("y");
          bad(proxy);
        },
      }),
      returned: () => proxy,
      "own then": () => Object.defineProperty(Promise.resolve("y"), "then", { get: angry }),
    };
    return req.text() === "?" ? Object.keys(kinds).join() : kinds[req.text()]();
  },
  Forgets: async (req) => {
    const helper = async () => {
      await null;
      throw new TypeError("in a helper");
    };
    switch (req.text()) {
      case "call":
        req.call("Nobody"); // the line of the call
        await new Promise(() => {});
        break;
      case "helper":
        helper();
        await new Promise(() => {});
        break;
      case "process call":
        call("Nobody"); // the line of the process call
        await new Promise(() => {});
        break;
      case "mistake":
        // Nobody catches an error that is thrown in a timer.
        setTimeout(() => req.call("Bar", 7));
        await new Promise(() => {});
        break;
      case "under way":
        req.call("Sleep");
    }
    return String(process.pid);
  },
  Line: (req) => req.call("Nobody").catch((error) => error.stack),
  Realm: async (req) => {
    await req.call("Bar", runInNewContext("new Uint8Array([120])"));
    return runInNewContext("new Uint8Array([121])");
  },
  Late: (req) => {
    if (req.body.length > 0)
      return kept.call("Bar").catch((error) => `${error.code}: ${error.message}`);
    kept = req;
  },
  Uncaught: (req) => {
    if (req.body.length > 0)
      setTimeout(() => {
        throw new Error("outside of any handler");
      }, 1);
    return String(process.pid);
  },
  Open: () => {
    createServer().listen(0, "127.0.0.1").unref();
  },
  Page: httpHandler(listener),
  Order: (req) => {
    const goOn = async () => {
      await finish(req.text());
      console.log((await call("Bar", "later")).text());
    };
    if (req.body.length > 0) req.waitUntil(goOn());
    return String(process.pid);
  },
  Farewell: () => {},
  Outside: async (req) => {
    const signal = AbortSignal.timeout(20);
    const options = { early: {}, abort: { signal }, timeout: { timeout: 20 } }[req.text()];
    if (req.text() === "early") return early;
    return call("Stuck", "", options).catch((error) => `${error.name} ${error.code}`);
  },
  After: (req) => {
    if (req.body.length > 0) req.waitUntil(finish(req.text()));
    return String(process.pid);
  },
  AfterFailing: (req) => {
    const goOn = () => finish(req.text()).then(() => Promise.reject(new Error("too late")));
    if (req.body.length > 0) req.waitUntil(goOn());
    return String(process.pid);
  },
  AfterPage: httpHandler(async (req, res) => {
    res.end(String(process.pid));
    const pipe = req.nightcore.text();
    if (pipe) await finish(pipe);
  }),
};

/** Runs after the answer, until the test writes to this named pipe. */
async function finish(pipe) {
  await readFile(pipe);
  console.log("finished");
}

const early = call("Bar").catch((error) => `${error.code}: ${error.message}`);

serve(functions).then(async () => {
  console.log("served");
  if (process.env.NIGHTCORE_FUNCTION === "Farewell")
    console.log((await call("Bar", "farewell")).text());
});
