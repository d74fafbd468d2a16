// A program that uses all of the package. The tests check its types and run it.
import express from "express";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import {
  Answer,
  type Body,
  call,
  type CallOptions,
  type Cause,
  type Code,
  type ErrorOptions,
  type Handler,
  HttpError,
  httpHandler,
  type HttpListener,
  HttpStatusError,
  type Json,
  Metadata,
  NightcoreError,
  type NightcoreRequest,
  type Pairs,
  Reply,
  type ReplyOptions,
  type Returned,
  serve,
} from "nightcore";
import { type Call, type Options, run } from "nightcore/testing";

interface User {
  name: string;
  age: number;
}

// Returns a plain object, which is sent as JSON.
const findUser = (req: NightcoreRequest): User => {
  const name = req.text();
  const metadata: Pairs = { "x-reason": "unknown" };
  if (name === "nobody") throw new HttpError(404, `there is no ${name}`, { metadata });
  if (name === "retired") throw new HttpError(410, { gone: name }, { cause: new Error("retired") });
  if (name === "broken") throw new NightcoreError("FUNCTION_FAILED", "the users are broken");
  return { name, age: name.length };
};

// Returns an array, which is sent as JSON.
const listUsers = (req: NightcoreRequest): string[] => {
  const pairs: [string, string][] = [...req.metadata.entries()];
  if (pairs.length !== [...req.metadata].length) throw new Error("pairs are lost");
  return [...req.metadata.getAll("x-many"), String(req.metadata.has("x-one"))];
};

const shape = (req: NightcoreRequest): Reply => {
  const json: Json = req.json<number[]>();
  const options: ReplyOptions = { status: 201, metadata: [["x-shape", "round"]] };
  if (new Reply(json, options).body.length === 0) throw new Error("the reply has no body");
  return req.reply("", { ...options, json });
};

const pass: Handler = (req) => {
  const options: CallOptions = { metadata: new Metadata({ a: "b" }), signal: req.signal };
  return req.call("FindUser", req.body, options);
};

// Turns the HTTP status of an answer into an error and catches it.
const strict = async (req: NightcoreRequest): Promise<Returned> => {
  try {
    const answer: Answer = await req.call("FindUser", req.body, { timeout: 5000 });
    const { name, age } = answer.throwForStatus().json<User>();
    return `${name} ${age} ${answer.ok}`;
  } catch (error) {
    if (!(error instanceof HttpStatusError)) throw error;
    const { status, ok, metadata } = error.answer;
    return `${status} ${ok} ${metadata.get("content-type")} ${error.message}`;
  }
};

// Fails with the error that the HTTP status of an answer becomes.
const strictPlain: Handler = async (req) => {
  const answer = await req.call("FindUser", req.body);
  return answer.throwForStatus().text();
};

const about = (req: NightcoreRequest): Returned => {
  req.log("about", "itself");
  req.waitUntil(Promise.resolve());
  const inTime = req.timeLeft > 0 && Number.isFinite(req.timeLeft);
  return { function: req.function, caller: req.caller ?? null, id: req.id.length, inTime };
};

const outside = async (): Promise<Body> => {
  const answers = await Promise.all([call("Text"), call("Shape", "", { json: [1] })]);
  return answers.map((answer) => answer.body.toString()).join(" ");
};

const codes: Code[] = [
  "NOT_FOUND",
  "PAYLOAD_TOO_LARGE",
  "FUNCTION_FAILED",
  "CONTAINER_DIED",
  "OVERLOADED",
  "UNAVAILABLE",
  "DEADLINE_EXCEEDED",
  "CANCELLED",
  "DEPTH_EXCEEDED",
];

const fail = (req: NightcoreRequest): never => {
  const code = codes.find((each) => each === req.text()) ?? "FUNCTION_FAILED";
  const details: ErrorOptions = { causes: [{ function: "Below", code, message: "it began" }] };
  throw new NightcoreError(code, "as it was told", details);
};

const catches = async (req: NightcoreRequest): Promise<string> => {
  try {
    await req.call("Fail", req.body);
  } catch (error) {
    if (!(error instanceof NightcoreError)) throw error;
    const cause: Cause | undefined = error.causes.at(-1);
    const below = cause && `${cause.function} ${cause.code} ${cause.message}`;
    return `${error.function} ${error.code} ${error.message}; ${below}`;
  }
  return "nothing";
};

const app = express();
app.get("/upper/:name", async (req, res) => {
  const upper = await req.nightcore.call("Upper", req.params.name);
  res.json({ upper: upper.text(), prefix: req.nightcorePrefix });
});

const listener: HttpListener = (req: IncomingMessage, res: ServerResponse) => {
  if (req.url === "/fail") throw new HttpError(418, "a teapot");
  res.setHeader("x-id", req.nightcore.id.length);
  res.end(req.headers["x-many"]);
};
createServer(listener).close();

const handlers = {
  FindUser: findUser,
  ListUsers: listUsers,
  Shape: shape,
  Pass: pass,
  Strict: strict,
  StrictPlain: strictPlain,
  About: about,
  Outside: outside,
  Fail: fail,
  Catch: catches,
  Text: () => "text",
  Upper: (req: NightcoreRequest) => req.text().toUpperCase(),
  Nothing: () => undefined,
  Web: httpHandler(app),
  Listener: httpHandler(listener),
} satisfies Record<string, Handler>;

// @ts-expect-error A handler cannot return a number.
handlers.Text = () => 7;
// @ts-expect-error The body of a call cannot be a promise.
handlers.Pass = (req) => req.call("Bar", req.call("Foo"));
// @ts-expect-error This error does not exist.
if (process.argv.length === 0) new NightcoreError("NO_SUCH_ERROR", "");
handlers.Text = () => "text";
handlers.Pass = pass;

// Runs a handler without an engine.
const options: Options = {
  function: "Foo",
  caller: "Bar",
  metadata: { "x-many": ["1", "2"] },
  timeLeft: 1000,
  signal: new AbortController().signal,
  call: ({ function: name, body, metadata, timeout }: Call) => {
    return `${name} ${body.toString()} ${metadata.get("a")} ${timeout}`;
  },
};
const tested = await run(handlers.Pass, "Ada", options);
if (tested.text() !== "FindUser Ada b undefined") throw new Error(tested.text());

await serve(handlers);
