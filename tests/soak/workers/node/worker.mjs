// The soak worker in Node. tests/soak/README.md describes it.
import { serve } from "nightcore";
import { openSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const [path, name, ...more] = process.argv.slice(2);
if (name === undefined || more.length > 0) {
  console.error("usage: worker RAN NAME");
  process.exit(2);
}
const ran = openSync(path, "w");

const joined = (...parts) => Buffer.concat(parts.map((part) => Buffer.from(part)));

const leaf = async (req) => {
  const id = req.body.subarray(0, req.body.indexOf("|")).toString();
  // At most PIPE_BUF bytes, so that the write is atomic.
  writeSync(ran, `${id}\n`);
  const [what, ms] = (req.metadata.get("do") ?? "").split(":");
  if (what === "sleep") await sleep(Number(ms), undefined, { signal: req.signal });
  else if (what === "exit") process.exit(3);
  else if (what === "say") console.log(id);
  return joined(req.body, `!${name}`);
};

serve({
  [name]: async (req) => {
    const [callee, ...rest] = (req.metadata.get("route") ?? "").split(",");
    if (callee === "") return leaf(req);
    const options = {
      metadata: [
        ["route", rest.join(",")],
        ["do", req.metadata.get("do") ?? ""],
      ],
    };
    const body = joined(req.body, `>${name}`);
    const count = Number(req.metadata.get("fan") ?? 0);
    if (count === 0) return joined((await req.call(callee, body, options)).body, `<${name}`);
    const calls = Array.from({ length: count }, (_, i) =>
      req.call(callee, joined(`${i}.`, body), options),
    );
    return joined(...(await Promise.all(calls)).map((answer) => answer.body), `<${name}`);
  },
});
