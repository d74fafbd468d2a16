// The conformance worker in Node. SPEC.md describes each case.
import { call, HttpError, httpHandler, NightcoreError, serve } from "nightcore";
import { setTimeout as sleep } from "node:timers/promises";

const [name, ...more] = process.argv.slice(2);
if (name === undefined || more.length > 0) {
  console.error("usage: worker NAME");
  process.exit(2);
}

const text = (req, name) => req.metadata.get(name) ?? "";
const number = (req) => Number(req.text());
const to = (name, ...pairs) => ({ metadata: [["case", name], ...pairs] });
const own = (metadata) => [...metadata].filter(([name]) => name.startsWith("x-"));

// The request of the previous `mistake` case.
let kept;

const cases = {
  echo: (req) => req.body,
  upper: (req) => req.text().replace(/[a-z]/g, (letter) => letter.toUpperCase()),
  binary: (req) => req.body.map((byte) => ~byte),
  big: (req) => Buffer.alloc(number(req), Buffer.from(Array.from({ length: 251 }, (_, i) => i))),
  count: (req) => String(req.body.length),
  fail: (req) => {
    throw new NightcoreError("FUNCTION_FAILED", req.text());
  },
  error: (req) => Promise.reject(new Error(req.text())),
  throw: (req) => {
    throw new Error(req.text());
  },
  sleep: (req) => sleep(number(req), "slept"),
  call: (req) => req.call(text(req, "target"), req.body, to(text(req, "to"))),
  catch: async (req) => {
    const timeout = text(req, "timeout-ms");
    try {
      const options = { ...to(text(req, "to")), timeout: timeout ? Number(timeout) : undefined };
      const answer = await req.call(text(req, "target"), req.body, options);
      return Buffer.concat([Buffer.from("OK\n"), answer.body]);
    } catch (error) {
      const causes = error.causes.map((cause) => `\n${cause.function} ${cause.code}`);
      return `${error.code}\n${error.function}\n${error.message}${causes.join("")}`;
    }
  },
  mistake: async (req) => {
    const count = (name) => Number(text(req, name));
    const pairs = req.metadata.has("name")
      ? [[text(req, "name"), Buffer.alloc(count("value"))]]
      : [];
    const timeout = req.metadata.has("timeout-ms") ? count("timeout-ms") : undefined;
    const before = kept;
    kept = req;
    const of =
      (request) =>
      (...asked) =>
        request.call(...asked);
    const by = { request: of(req), process: call, ended: of(before) }[text(req, "by")];
    try {
      await by(text(req, "target"), Buffer.alloc(count("size")), {
        ...to("echo", ...pairs),
        timeout,
      });
      return "OK";
    } catch (error) {
      return error.code;
    }
  },
  fan_out: async (req) => {
    const calls = Array.from({ length: number(req) }, (_, i) => {
      return req.call(text(req, "target"), String(i), to(text(req, "to")));
    });
    return Buffer.concat(
      (await Promise.all(calls)).flatMap((answer) => [answer.body, Buffer.from(";")]),
    );
  },
  chain: (req) => {
    const route = text(req, "route");
    if (route === "") return req.body;
    const [next, ...rest] = route.split(",");
    const last = text(req, "to");
    const following = rest.length === 0 && last !== "" ? last : "chain";
    return req.call(
      next,
      Buffer.concat([req.body, Buffer.from(`>${req.function}`)]),
      to(following, ["route", rest.join(",")], ["to", last]),
    );
  },
  metadata: (req) => {
    const pairs = own(req.metadata);
    return req.reply(pairs.map(([name, value]) => `${name}=${value}\n`).join(""), {
      metadata: pairs,
    });
  },
  relay_metadata: async (req) => {
    const answer = await req.call(text(req, "target"), "", to("metadata", ...own(req.metadata)));
    return req.reply(answer.body, { metadata: own(answer.metadata) });
  },
  status: (req) => req.reply(req.body, { status: number(req) }),
  http_error: (req) => {
    throw new HttpError(number(req), "as told: größer");
  },
  json: (req) => {
    req.json();
    return "json";
  },
  check_status: async (req) => {
    const answer = await req.call(text(req, "target"), req.body, to("http_error"));
    answer.throwForStatus();
    return answer.body;
  },
  relay_status: async (req) =>
    String((await req.call(text(req, "target"), req.body, to("status"))).status),
  origin: (req) => (req.caller === undefined ? "external" : `internal ${req.caller}`),
  function: (req) => req.function,
  id: (req) => req.id,
  deadline: (req) => String(Math.floor(req.timeLeft)),
  path: (req) => [":method", ":path", ":query"].map((name) => `${text(req, name)}\n`).join(""),
  crash: () => process.exit(3),
  wait_for_cancel: (req) => {
    console.log(`waiting ${req.text()}`);
    return new Promise((resolve) => {
      req.signal.addEventListener("abort", () => {
        const at = process.hrtime.bigint();
        console.log(`cancelled ${req.text()}: ${req.signal.reason.code}`);
        console.log(`noticed ${req.text()} at ${at}`);
        resolve();
      });
    });
  },
  later: (req) => {
    const timeout = text(req, "timeout-ms");
    const options = { ...to(text(req, "to")), timeout: timeout ? Number(timeout) : undefined };
    const said = call(text(req, "target"), req.body, options).then(
      (answer) => answer.text(),
      (error) => error.code,
    );
    req.waitUntil(said.then((ended) => console.log(`later ${req.text()}: ${ended}`)));
    return "begun";
  },
  print: (req) => {
    console.log(req.text());
    return "printed";
  },
  log: (req) => {
    req.log(req.text());
    return "logged";
  },
  twice: (req) => {
    console.log("twice: none");
    return req.body;
  },
};

// Answers with the values that an HTTP listener receives for a request.
const app = httpHandler((req, res) => {
  const [path, ...query] = req.url.split("?");
  const decoded = [req.nightcorePrefix, path].map((part) => decodeURIComponent(part));
  // Node decodes headers as latin1: each byte is one character.
  const value = Buffer.from(req.headers["x-value"] ?? "", "latin1");
  const parts = [req.method, ...decoded, query.join("?"), value];
  let bytes = 0;
  req.on("data", (chunk) => (bytes += chunk.length));
  req.on("end", () => {
    res.setHeader("content-type", "text/plain");
    res.end([...parts, bytes].join("\n"));
  });
});

if (name.startsWith("App")) serve({ [name]: app });
else
  serve({
    [name]: (req) => {
      const asked = text(req, "case");
      if (!Object.hasOwn(cases, asked))
        throw new NightcoreError("FUNCTION_FAILED", `no case "${asked}"`);
      return cases[asked](req);
    },
  });
