// A service of the app over @grpc/grpc-js; see ../README.md.
import http from "node:http";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const { App } = grpc.loadPackageDefinition(
  loader.loadSync(fileURLToPath(new URL("app.proto", import.meta.url))),
).bench;
const [kind, ...addresses] = process.argv.slice(2);
const port = Number(process.env.PORT);
const next = addresses.map((address) => new App(address, grpc.credentials.createInsecure()));

const call = (client, value) =>
  new Promise((resolve, reject) => {
    client.call({ value }, (error, answer) => (error ? reject(error) : resolve(answer.value)));
  });

// Calls the services that this service needs, one after the other.
async function run(body) {
  for (const client of next) {
    const answer = await call(client, body);
    if (answer.length !== body.length) {
      const target = client.getChannel().getTarget();
      throw new Error(`${target} did not return the body that it was sent`);
    }
  }
  return body;
}

if (kind === "http") {
  const server = http.createServer((req, res) => {
    const parts = [];
    req.on("data", (part) => parts.push(part));
    req.on("end", () => {
      run(Buffer.concat(parts)).then(
        (body) => res.writeHead(200, { "Content-Length": body.length }).end(body),
        (error) => res.writeHead(500, { "Content-Length": 0 }).end(console.error(error)),
      );
    });
  });
  server.listen(port, "127.0.0.1");
} else {
  const server = new grpc.Server();
  server.addService(App.service, {
    call: ({ request }, done) => {
      run(request.value).then((value) => done(null, { value }), done);
    },
  });
  server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error) => {
    if (error) throw error;
  });
}
