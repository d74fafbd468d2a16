// A notes app in Express, which runs as a server by `PORT=8000 node app.mjs` or as a function of
// Nightcore.
import express from "express";
import { createHash } from "node:crypto";
import { httpHandler, serve } from "nightcore";

const app = express();
const kept = new Map();
const cookies = (req) =>
  new Map((req.headers.cookie ?? "").split("; ").map((pair) => pair.split("=", 2)));

app.get("/", (req, res) => {
  const items = [...kept.values()].map((note) => `<li>${note.text}</li>`);
  res.send(`<h1>Notes</h1><ul>${items.join("")}</ul>`);
});

app.get("/notes", (req, res) => {
  const wanted = [req.query.tag ?? []].flat();
  res.json([...kept.values()].filter((note) => wanted.every((tag) => note.tags.includes(tag))));
});

app.post("/notes", express.json(), (req, res) => {
  const note = { id: kept.size + 1, text: req.body.text, tags: req.body.tags ?? [] };
  kept.set(note.id, note);
  res
    .status(201)
    .location(`${req.nightcorePrefix ?? ""}/notes/${note.id}`)
    .json(note);
});

app.get("/notes/:number", (req, res) => {
  const note = kept.get(Number(req.params.number));
  if (note) res.json(note);
  else res.status(404).json({ detail: "no such note" });
});

app.delete("/notes/:number", (req, res) => {
  kept.delete(Number(req.params.number));
  res.sendStatus(204);
});

app.post("/login", express.urlencoded({ extended: false }), (req, res) => {
  res.cookie("session", "s3cret", { httpOnly: true }).cookie("name", req.body.name);
  res.redirect(303, `${req.nightcorePrefix ?? ""}/me`);
});

app.get("/me", (req, res) => {
  const name = cookies(req).get("name");
  if (name) res.type("text").send(decodeURIComponent(name));
  else res.status(401).type("text").send("who are you?");
});

app.get("/inspect/*rest", (req, res) => {
  const [path, query = ""] = req.url.split("?", 2);
  const many = req.headers["x-many"] ?? "";
  res.json({
    method: req.method,
    path,
    rest: req.params.rest.join("/"),
    query,
    many,
    host: req.headers.host,
  });
});

app.all("/inspect-body", express.raw({ type: () => true, limit: "32mb" }), (req, res) => {
  const body = Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0);
  const sha256 = createHash("sha256").update(body).digest("hex");
  res.json({ length: body.length, sha256, type: req.headers["content-type"] ?? null });
});

app.get("/bytes/:count", (req, res) => {
  res
    .type("application/octet-stream")
    .send(Buffer.from(Array.from({ length: Number(req.params.count) }, (_, i) => i % 251)));
});

app.get("/stream", (req, res) => {
  res.type("text");
  for (const line of ["one\n", "two\n", "three\n"]) res.write(line);
  res.end();
});

app.get("/status/:code", (req, res) => {
  res.status(Number(req.params.code)).type("text").send(req.params.code);
});

app.get("/boom", () => {
  throw new Error("boom");
});

app.post("/upper", express.raw({ type: () => true }), async (req, res) => {
  if (!req.nightcore) return res.status(503).send("this is not a function of Nightcore");
  const answer = await req.nightcore.call("Upper", req.body);
  return res.type("text").send(answer.text());
});

if (process.env.PORT) app.listen(Number(process.env.PORT), "127.0.0.1");
else serve(httpHandler(app));
