"""Keeps carts in Redis, and returns the content and the costs of a cart."""

from __future__ import annotations

import os
import uuid

import nightcore
from redis.asyncio import Redis

redis = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)

# A cart is a hash of the quantity of each product, and of the cart's id under this key.
ID = ":id"
# Empties a cart, unless the customer has begun another one since.
EMPTY = redis.register_script(
    f"if redis.call('hget', KEYS[1], '{ID}') == ARGV[1] then redis.call('del', KEYS[1]) end"
)


@nightcore.function("Cart")
async def cart(req: nightcore.AsyncRequest) -> dict[str, object]:
    wanted = req.json()
    key = "cart:" + wanted["customer"]
    if product := wanted.get("add"):
        known = await req.call("Catalog", json={"ids": [product]})
        if not known.json():
            raise nightcore.HttpError(404, {"error": f"there is no product {product}"})
        await redis.hsetnx(key, ID, str(uuid.uuid4()))
        await redis.hincrby(key, product, wanted["quantity"])
    if order := wanted.get("empty"):
        await EMPTY(keys=[key], args=[order])
    quantities = await redis.hgetall(key)
    order = quantities.pop(ID, None)
    items = await priced(req, quantities)
    costs = await req.call("Pricing", json={"items": items})
    return {"id": order, "items": items, **costs.json()}


async def priced(
    req: nightcore.AsyncRequest, quantities: dict[str, str]
) -> list[dict[str, object]]:
    products = await req.call("Catalog", json={"ids": list(quantities)})
    return [
        {
            "product": product["id"],
            "price": product["price"],
            "quantity": int(quantities[product["id"]]),
        }
        for product in products.json()
    ]


if __name__ == "__main__":
    nightcore.serve()
