// The HTTP interface of the shop for its customers: products, carts and orders as JSON.
import express from "express";
import { httpHandler, serve } from "nightcore";

const app = express();
app.use(express.json());

// Calls a function with JSON, and passes on its answer with the HTTP status.
const forward = async (req, res, name, json) => {
  const answer = await req.nightcore.call(name, json);
  res.status(answer.status).json(answer.json());
};

app.get("/products", (req, res) => forward(req, res, "Catalog", {}));

app.get("/products/:id", async (req, res) => {
  const { id } = req.params;
  const [products, similar] = await Promise.all([
    req.nightcore.call("Catalog", { ids: [id] }),
    req.nightcore.call("Recommend", { product: id }),
  ]);
  const [product] = products.json();
  if (product) res.json({ ...product, similar: similar.json() });
  else res.status(404).json({ error: `there is no product ${id}` });
});

app.get("/carts/:customer", (req, res) => {
  const { customer } = req.params;
  return forward(req, res, "Cart", { customer });
});

app.post("/carts/:customer/items", async (req, res) => {
  const { product, quantity = 1 } = req.body ?? {};
  if (typeof product !== "string" || !Number.isInteger(quantity) || quantity < 1) {
    return res.status(400).json({ error: 'send {"product": "mug", "quantity": 1}' });
  }
  return forward(req, res, "Cart", { customer: req.params.customer, add: product, quantity });
});

app.post("/carts/:customer/checkout", (req, res) => {
  const { customer } = req.params;
  return forward(req, res, "Checkout", { customer });
});

// Customers get the id of the call, by which `nightcore logs --call ID` finds the error.
app.use((error, req, res, _next) => {
  if (error.status < 500) return res.status(error.status).json({ error: error.message });
  req.nightcore.log(error);
  return res.status(500).json({ error: "something went wrong", call: req.nightcore.id });
});

serve(httpHandler(app));
