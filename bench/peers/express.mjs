// An Express server that answers a POST with its body.
import express from "express";

const app = express();
app.use(express.raw({ type: () => true }));
app.post("/", (req, res) => res.send(req.body));
app.listen(Number(process.env.PORT), "127.0.0.1");
