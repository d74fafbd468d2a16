"""Turns a cart into an order, exactly once, and reduces the stock of its products."""

from __future__ import annotations

import os
from typing import Any

import nightcore
from psycopg import Connection
from psycopg_pool import ConnectionPool

pool = ConnectionPool(os.environ["DATABASE_URL"], min_size=1, max_size=8, open=True)


class SoldOutError(Exception):
    pass


@nightcore.function("Checkout")
def checkout(req: nightcore.Request) -> nightcore.Reply:
    customer = req.json()["customer"]
    cart = req.call("Cart", json={"customer": customer}).json()
    if not cart["items"]:
        raise nightcore.HttpError(409, {"error": "the cart is empty"})
    try:
        # One transaction, which is committed at the end of this block or rolled back by an error.
        with pool.connection() as db:
            order = place(db, customer, cart)
    except SoldOutError as error:
        raise nightcore.HttpError(409, {"error": f"sold out: {error}"}) from error
    req.call("Cart", json={"customer": customer, "empty": cart["id"]})
    req.log(f"order {order} of {customer}: {cart['total'] / 100:.2f}")
    return nightcore.Reply({"order": order, "total": cart["total"]}, status=201)


def place(db: Connection[Any], customer: str, cart: dict[str, Any]) -> int:
    """Store an order, and return its number."""
    created = db.execute(
        """INSERT INTO orders (cart, customer, total) VALUES (%s, %s, %s)
        ON CONFLICT (cart) DO NOTHING RETURNING id""",
        (cart["id"], customer, cart["total"]),
    ).fetchone()
    if created is None:
        # Another process stored the order, but died before it replied.
        (order,) = db.execute("SELECT id FROM orders WHERE cart = %s", (cart["id"],)).fetchone()
        return order
    (order,) = created
    # Catalog has sorted the products, so that two orders cannot deadlock.
    for item in cart["items"]:
        taken = db.execute(
            """UPDATE products SET stock = stock - %(quantity)s
            WHERE id = %(product)s AND stock >= %(quantity)s""",
            item,
        )
        if taken.rowcount == 0:
            raise SoldOutError(item["product"])
        db.execute(
            "INSERT INTO order_items VALUES (%s, %s, %s)",
            (order, item["product"], item["quantity"]),
        )
    return order


if __name__ == "__main__":
    nightcore.serve()
