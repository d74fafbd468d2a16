"""Tests the shop, also while its processes are killed and its configuration changes."""

from __future__ import annotations

import os
import signal
import threading
import unittest
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg

from engine import Answer, Engine, until

FUNCTIONS = ["Shop", "Catalog", "Cart", "Pricing", "Checkout", "Recommend"]


def put(engine: Engine, customer: str, product: str, quantity: int = 1) -> Answer:
    return engine.ask(
        "POST", f"/carts/{customer}/items", {"product": product, "quantity": quantity}
    )


def check_out(engine: Engine, customer: str) -> Answer:
    return engine.ask("POST", f"/carts/{customer}/checkout")


def select(query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(os.environ["DATABASE_URL"]) as db:
        return db.execute(query, values).fetchall()  # type: ignore[arg-type]


def has_restarted(engine: Engine, name: str) -> bool:
    return engine.function(name)["restarts"] == 1


def stock(product: str) -> int:
    ((count,),) = select("SELECT stock FROM products WHERE id = %s", product)
    return int(count)


@contextmanager
def hold(product: str) -> Iterator[psycopg.Connection]:
    """Lock a product, so that every purchase of it waits until the block or transaction ends."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as db:
        db.execute("SELECT 1 FROM products WHERE id = %s FOR UPDATE", (product,))
        yield db


def until_waiting(count: int) -> None:
    """Wait until at least `count` transactions wait for another transaction's lock."""
    query = "SELECT pid, query FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    until(
        lambda: len(select(query)) >= count,
        lambda: f"not {count} transactions wait: {select(query)}",
    )


class TheShop(unittest.TestCase):
    def test_a_customer_looks_around_and_buys(self) -> None:
        with Engine() as engine:
            assert engine.ready.endswith("6 functions"), engine.ready
            assert len(engine.ask("GET", "/products").json()) == 7
            mug = engine.ask("GET", "/products/mug").json()
            assert (mug["name"], mug["price"]) == ("Mug", 1200)
            assert [similar["id"] for similar in mug["similar"]] == ["beans", "teapot"]

            put(engine, "ada", "mug", 2)
            cart = put(engine, "ada", "paper").json()
            assert cart["items"] == [
                {"product": "mug", "price": 1200, "quantity": 2},
                {"product": "paper", "price": 800, "quantity": 1},
            ]
            assert (cart["subtotal"], cart["discount"], cart["shipping"], cart["total"]) == (
                3200,
                0,
                490,
                3690,
            )
            assert put(engine, "ada", "mug", 8).json()["discount"] == 1280

            mugs = stock("mug")
            answer = check_out(engine, "ada")
            assert answer.status == 201, answer
            order = answer.json()["order"]
            assert select("SELECT customer, total FROM orders WHERE id = %s", order) == [
                ("ada", 11520)
            ]
            query = "SELECT product, quantity FROM order_items WHERE order_id = %s ORDER BY product"
            assert select(query, order) == [("mug", 10), ("paper", 1)]
            assert stock("mug") == mugs - 10

            assert engine.ask("GET", "/carts/ada").json()["items"] == []
            assert check_out(engine, "ada").status == 409
            logged = engine.run("logs", "--call", answer.call).stdout
            assert f"order {order} of ada: 115.20" in logged, logged

    def test_mistakes_of_customers_are_told(self) -> None:
        with Engine() as engine:
            for method, path, body, status, says in [
                ("GET", "/products/moon", None, 404, "there is no product moon"),
                ("POST", "/carts/bob/items", {"product": "moon"}, 404, "there is no product moon"),
                (
                    "POST",
                    "/carts/bob/items",
                    {"quantity": 1},
                    400,
                    'send {"product": "mug", "quantity": 1}',
                ),
                ("POST", "/carts/bob/items", {"product": "mug", "quantity": -1}, 400, "send {"),
                ("POST", "/carts/bob/items", '{"product": mug}', 400, "not valid JSON"),
                ("POST", "/carts/bob/checkout", None, 409, "the cart is empty"),
            ]:
                answer = engine.ask(method, path, body)
                assert (answer.status, says in answer.json()["error"]) == (status, True), answer
            # Clients can call only the function Shop.
            assert engine.ask("POST", "/function/Pricing", {"items": []}).status == 404

    def test_the_last_one_is_sold_once(self) -> None:
        with Engine() as engine, ThreadPoolExecutor() as threads:
            put(engine, "ned", "lamp")
            put(engine, "tom", "lamp")
            with hold("lamp"):
                buying = [
                    threads.submit(check_out, engine, customer) for customer in ("ned", "tom")
                ]
                until_waiting(2)
            bought, refused = sorted(
                (each.result() for each in buying), key=lambda answer: answer.status
            )
            assert (bought.status, refused.status) == (201, 409), (bought, refused)
            assert refused.json()["error"] == "sold out: lamp"
            assert stock("lamp") == 0
            assert select("SELECT count(*) FROM order_items WHERE product = 'lamp'") == [(1,)]

    def test_an_order_is_placed_once_though_its_process_is_killed(self) -> None:
        with Engine() as engine, ThreadPoolExecutor() as threads:
            put(engine, "kim", "pen")
            pens = stock("pen")
            with hold("pen"):
                buying = threads.submit(check_out, engine, "kim")
                until_waiting(1)
                os.kill(engine.pid("Checkout"), signal.SIGKILL)
                # Nightcore retries the call in the next process.
                until(lambda: engine.function("Checkout")["retries"] == 1, engine.printed)
            assert buying.result().status == 201, buying.result()
            assert stock("pen") == pens - 1
            assert len(select("SELECT 1 FROM orders WHERE customer = 'kim'")) == 1
            assert engine.ask("GET", "/carts/kim").json()["items"] == []
            assert engine.function("Checkout")["restarts"] == 1

    def test_it_goes_on_when_each_process_has_been_killed(self) -> None:
        with Engine() as engine:
            for name in FUNCTIONS:
                os.kill(engine.pid(name), signal.SIGKILL)
                # The engine may give calls to the dead process until it notices; they fail.
                until(partial(has_restarted, engine, name), engine.printed)
                # Calls that arrive from now on wait for the next process.
                assert put(engine, "liz", "teapot").status == 200, name
                assert engine.ask("GET", "/products/teapot").status == 200, name
                assert check_out(engine, "liz").status == 201, name

    def test_reload_loses_no_request(self) -> None:
        with Engine() as engine, ThreadPoolExecutor() as threads:
            put(engine, "sue", "beans")
            ended = threading.Event()
            seen: set[tuple[int, Any]] = set()

            def look() -> None:
                while not ended.is_set():
                    answer = engine.ask("GET", "/carts/sue")
                    seen.add((answer.status, answer.json().get("shipping")))

            looking = [threads.submit(look) for _ in range(4)]
            try:
                until(lambda: seen, engine.printed)
                engine.change(
                    "nightcore.toml", 'FREE_SHIPPING_FROM = "5000"', 'FREE_SHIPPING_FROM = "1000"'
                )
                reload = engine.run("reload")
                assert reload.returncode == 0, reload
                assert engine.ask("GET", "/carts/sue").json()["shipping"] == 0
                # `reload --all` replaces every function, in each language, though none has changed.
                reload = engine.run("reload", "--all")
                assert reload.returncode == 0, reload
                until(lambda: len(seen) >= 2, engine.printed)
            finally:
                ended.set()
            for each in looking:
                each.result()
            assert seen == {(200, 490), (200, 0)}, seen

    def test_stop_waits_for_an_order(self) -> None:
        with Engine() as engine, ThreadPoolExecutor() as threads:
            put(engine, "pat", "paper")
            pids = [engine.pid(name) for name in FUNCTIONS]
            with hold("paper"):
                buying = threads.submit(check_out, engine, "pat")
                until_waiting(1)
                engine.process.terminate()
                until(lambda: "stopping" in engine.printed(), engine.printed)
            assert buying.result().status == 201, buying.result()
            assert engine.process.wait() == 0
            for pid in pids:
                try:
                    os.kill(pid, 0)
                except ProcessLookupError:
                    continue
                raise AssertionError(f"process {pid} has outlived its engine")


if __name__ == "__main__":
    unittest.main()
