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
    if (answer.body.length !== body.length) throw new Error(`${target} answered something else than it was sent`);
    if (i >= 0) samples.writeBigUInt64LE(took, i * 8);
  }
  return samples;
}

async function relay(req) {
  const [next, ...rest] = req.text().split(" ");
  await req.call(next, rest.join(" "));
}

const name = process.argv[2];
serve({ [name]: name.startsWith("Caller") ? measure : name.startsWith("Relay") ? relay : echo });
