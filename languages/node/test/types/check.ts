// The types are right: this compiles, and each line that must not says so.
import { createServer } from "node:http";
import { type Handler, http, NightcoreError, Reply, type Request, serve } from "nightcore";
import { run } from "nightcore/testing";

const foo: Handler = (req) => req.call("Bar", [req.body, ", World"]);
const bar = (req: Request): string => `From function Bar: ${req.text()}`;

async function baz(req: Request): Promise<Reply> {
  const { name } = req.json<{ name: string }>();
  try {
    req.waitUntil(Promise.resolve(name));
    const answer = await req.call("Users", name, { timeout: 50, metadata: { "x-kind": "a" }, signal: req.signal });
    return req.reply(answer.body, { status: answer.status, headers: answer.metadata });
  } catch (error) {
    if (error instanceof NightcoreError && error.code === "NOT_FOUND") return new Reply("", { status: 404 });
    throw error;
  }
}

// @ts-expect-error A handler returns bytes or text.
const wrong: Handler = () => ({ a: 1 });
// @ts-expect-error There is no such error.
new NightcoreError("NO_SUCH_ERROR", "");

void createServer(() => undefined);
void serve({ Foo: foo, Bar: bar, Baz: baz, App: http((_req, res) => res.end()) });
void run(foo, "Hello", { call: (call) => `${call.function} ${call.body.toString()}` }).then((answer) => answer.status);
void wrong;
