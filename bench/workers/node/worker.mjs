// The measured worker in Node; see ../README.md.
import { serve } from "nightcore";

const echo = (req) => req.body;

async function measure(req) {
  const [size, count, warmUp, target] = req.text().split(" ");
  const body = Buffer.alloc(Number(size), "x");
  const samples = Buffer.alloc(Number(count) * 8);
  for (let i = -Number(warmUp); i < Number(count); i++) {
    const start = process.hrtime.bigint();
    const answer = await req.call(target, body);
    const took = process.hrtime.bigint() - start;
    if (answer.body.length !== body.length) {
      throw new Error(`${target} did not return the body that it was sent`);
    }
    if (i >= 0) samples.writeBigUInt64LE(took, i * 8);
  }
  return samples;
}

async function relay(req) {
  const [next, ...rest] = req.text().split(" ");
  await req.call(next, rest.join(" "));
}

async function app(req) {
  for (const target of targets) {
    const answer = await req.call(target, req.body);
    if (answer.body.length !== req.body.length) {
      throw new Error(`${target} did not return the body that it was sent`);
    }
  }
  return req.body;
}

const [name, ...targets] = process.argv.slice(2);
const handlers = { Caller: measure, Relay: relay };
const role = Object.keys(handlers).find((role) => name.startsWith(role));
serve({ [name]: targets.length > 0 ? app : (handlers[role] ?? echo) });
