"""Makes typical mistakes in the shop, one at a time. Each message says how to correct one."""

from __future__ import annotations

import re
import socket
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from engine import BUILT, Engine, until

# The id of every call in docs/shop.md. The tests put it in place of real ids, which are random.
CALL = "6b3f09c2d417a5e8"
# The answer to a customer for every error that is not the customer's own mistake.
WENT_WRONG = f'{{"error":"something went wrong","call":"{CALL}"}}'
# More engines at once would only wait for one another.
AT_ONCE = 2


@dataclass(frozen=True)
class Mistake:
    """A change of a file, and the output and the answer that it must cause."""

    name: str
    file: str
    right: str
    wrong: str
    # Patterns that the output of `nightcore up` contains. A function's lines begin with its name.
    prints: tuple[str, ...] = ()
    # The functions that do not start.
    fails: str = ""
    # Patterns in the errors of `nightcore check` and `nightcore up`, which then starts no function.
    checks: tuple[str, ...] = ()
    # A request, its expected status, and a part of the expected answer.
    request: tuple[str, str, Any] = ("GET", "/carts/eve", None)
    status: int = 500
    answers: str = WENT_WRONG


GET_PRODUCTS = ("GET", "/products", None)
CHECK_OUT = ("POST", "/carts/eve/checkout", None)
CART_COMMAND = 'command = [".venv/bin/python", "cart/cart.py"]'

MISTAKES = [
    Mistake(
        "wrong name of a function, in a call",
        "shop/shop.mjs",
        '"Catalog", {}',
        '"Catalogue", {}',
        request=GET_PRODUCTS,
        prints=(
            r'Shop [0-9a-f]{16} \| NightcoreError: there is no function "Catalogue"',
            r"shop\.mjs:\d+:",
        ),
    ),
    Mistake(
        "wrong name of a function, two calls away",
        "cart/cart.py",
        'req.call("Pricing"',
        'req.call("Prices"',
        prints=(
            r'Cart [0-9a-f]{16} \| Cart failed: .*: there is no function "Prices"',
            r"function: 'Cart'",
        ),
    ),
    Mistake(
        "wrong name of a function, in its program",
        "cart/cart.py",
        'function("Cart")',
        'function("Kart")',
        fails="Cart",
        prints=(r'no handler "Cart" in .*; it has: Kart',),
    ),
    Mistake(
        "wrong JSON, from a customer",
        "cart/cart.py",
        "import os",
        "import os",
        request=("POST", "/carts/eve/items", '{"product": mug}'),
        status=400,
        answers="is not valid JSON",
    ),
    Mistake(
        "wrong JSON, from a function to Python",
        "shop/shop.mjs",
        "call(name, json)",
        "call(name, `${json}`)",
        prints=(
            r"Cart [0-9a-f]{16} \| .*cart\.py\", line \d+",
            r"Cart \S+ \| .*JSONDecodeError: Expecting value",
        ),
    ),
    Mistake(
        "wrong JSON, from a function to Go",
        "shop/shop.mjs",
        "call(name, json)",
        "call(name, `${json}`)",
        request=GET_PRODUCTS,
        prints=(
            r"Catalog [0-9a-f]{16} \| Catalog failed: .* "
            r"not the JSON that was expected: invalid character",
        ),
    ),
    Mistake(
        "missing module, in Python",
        "cart/cart.py",
        "import uuid\n",
        "import uuid\n\nimport uuid7\n",
        fails="Cart",
        prints=(
            r"Cart \| .*cart\.py\", line \d",
            r"Cart \| ModuleNotFoundError: No module named 'uuid7'",
            "Cart: process",
        ),
    ),
    Mistake(
        "missing module, in Node",
        "shop/shop.mjs",
        'from "express"',
        'from "expres"',
        fails="Shop",
        request=GET_PRODUCTS,
        status=503,
        answers='"error":"UNAVAILABLE"',
        prints=(
            r"Shop \| .*Cannot find package 'expres' imported from .*shop\.mjs",
            "see `nightcore logs Shop`",
        ),
    ),
    Mistake(
        "wrong interpreter, which is not there",
        "nightcore.toml",
        CART_COMMAND,
        'command = ["python4", "cart/cart.py"]',
        checks=(
            r"nightcore\.toml:20:12: command not found: \"python4\" is not in PATH",
            r"20 \| command = \[",
        ),
    ),
    Mistake(
        "wrong interpreter, without the modules",
        "nightcore.toml",
        CART_COMMAND,
        # -S hides any modules that are installed for this Python.
        'command = ["python3", "-I", "-S", "cart/cart.py"]',
        fails="Cart",
        prints=(
            r"Cart \| .*cart\.py\", line \d",
            r"Cart \| ModuleNotFoundError: No module named 'nightcore'",
        ),
    ),
    Mistake(
        "wrong interpreter, of another language",
        "nightcore.toml",
        CART_COMMAND,
        'command = ["node", "cart/cart.py"]',
        fails="Cart",
        prints=(r"Cart \| .*cart\.py:1", r"Cart \| SyntaxError", r"Cart \| Node\.js v"),
    ),
    Mistake(
        "syntax error, in Python",
        "cart/cart.py",
        'if order := wanted.get("empty"):',
        'if order := wanted.get("empty")',
        fails="Cart",
        prints=(r"Cart \| .*cart\.py\", line \d+", r"Cart \| SyntaxError: expected ':'"),
    ),
    Mistake(
        "syntax error, in Node",
        "shop/shop.mjs",
        "app.use(express.json());",
        "app.use(express.json();",
        fails="Shop",
        request=GET_PRODUCTS,
        status=503,
        answers='"error":"UNAVAILABLE"',
        prints=(r"Shop \| .*shop\.mjs:\d", r"Shop \| SyntaxError: missing \) after argument list"),
    ),
    Mistake(
        "exception, in a coroutine",
        "cart/cart.py",
        'wanted["customer"]',
        'wanted["costumer"]',
        prints=(
            r"Cart [0-9a-f]{16} \| .*cart\.py\", line \d+, in cart",
            r"Cart [0-9a-f]{16} \| KeyError: 'costumer'",
        ),
    ),
    Mistake(
        "exception, in a thread",
        "checkout/checkout.py",
        'req.json()["customer"]',
        'req.json()["costumer"]',
        request=CHECK_OUT,
        prints=(
            r"Checkout [0-9a-f]{16} \| .*checkout\.py\", line \d+, in checkout",
            r"KeyError: 'costumer'",
        ),
    ),
    Mistake(
        "exception, in Node",
        "shop/shop.mjs",
        "const { id } = req.params;",
        "const { id } = req.parms;",
        request=("GET", "/products/mug", None),
        prints=(
            r"Shop [0-9a-f]{16} \| TypeError: Cannot destructure property 'id' of 'req\.parms'",
            r"shop\.mjs:\d+:",
        ),
    ),
    Mistake(
        "endless loop, in a coroutine",
        "cart/cart.py",
        "    wanted = req.json()\n",
        "    while True:\n        pass\n    wanted = req.json()\n",
        status=504,
        answers="Shop did not answer by its deadline",
        prints=(
            r"Shop \S+ \| NightcoreError: the deadline .*passed",
            r"function: 'Cart'",
            r"Cart: process \d+ is replaced",
        ),
    ),
    Mistake(
        "endless loop, in a thread",
        "checkout/checkout.py",
        "    customer = req.json()",
        "    while True:\n        pass\n    customer = req.json()",
        request=CHECK_OUT,
        status=504,
        answers="Shop did not answer by its deadline",
        prints=(r"function: 'Checkout'", r"Checkout: process \d+ is replaced"),
    ),
    Mistake(
        "forgotten await, in Python",
        "cart/cart.py",
        'costs = await req.call("Pricing"',
        'costs = req.call("Pricing"',
        prints=(
            r"Cart \S+ \| .*cart\.py\", line \d+, in cart",
            r"AttributeError: 'coroutine' object has no attribute 'json'",
        ),
    ),
    Mistake(
        "forgotten await, in Node",
        "shop/shop.mjs",
        "const answer = await req",
        "const answer = req",
        request=GET_PRODUCTS,
        prints=(
            r"Shop \S+ \| .*nobody awaits it: NightcoreError",
            r"shop\.mjs:\d+:",
            r"function: 'Catalog'",
        ),
    ),
    Mistake(
        "wrong return type, in a coroutine",
        "cart/cart.py",
        'return {"id": order, "items": items, **costs.json()}',
        'return {"id": order, "items": items, **costs.json()}, 200',
        prints=(
            r"Cart \S+ \| TypeError: a handler returns bytes, .*, not tuple; "
            r"for an HTTP status return nightcore\.Reply",
        ),
    ),
    Mistake(
        "wrong return type, in a thread",
        "checkout/checkout.py",
        'raise nightcore.HttpError(409, {"error": "the cart is empty"})',
        "return 409",
        request=CHECK_OUT,
        prints=(r"Checkout \S+ \| TypeError: a handler returns bytes, .*, not int",),
    ),
]


def has(patterns: tuple[str, ...], text: str) -> bool:
    """Return whether each pattern matches somewhere in the text."""
    return all(re.search(pattern, text) for pattern in patterns)


@dataclass(frozen=True)
class Outcome:
    """The output that a mistake causes, and a description of a difference from the expected one."""

    printed: str
    wrong: str = ""


@cache
def make(mistake: Mistake) -> Outcome:
    """Run the shop with a mistake. Each mistake runs once; further calls return the same result."""
    changes = (
        {mistake.file: (mistake.right, mistake.wrong)} if mistake.wrong != mistake.right else {}
    )
    if "loop" in mistake.name:
        changes["nightcore.toml"] = ('timeout = "5s"', 'timeout = "500ms"\ngrace = "100ms"')
    with Engine(changes) as engine:
        wrong = look(mistake, engine)
        return Outcome(
            with_one_id(engine.printed()).replace(str(engine.home), "/home/me/shop"), wrong
        )


def with_one_id(text: str) -> str:
    """Return the text with CALL in place of each call id."""
    return re.sub(r"\b[0-9a-f]{16}\b", CALL, text)


def look(mistake: Mistake, engine: Engine) -> str:
    """Compare the output and the answer with the expected ones. Return the difference, or ''."""
    check = engine.run("check")
    if mistake.checks:
        if check.returncode != 2 or not has(mistake.checks, check.stderr):
            return f"check says {check}"
        if engine.process.wait() != 2 or not has(mistake.checks, engine.printed()):
            return "up says something else than check"
        return ""
    if check.returncode != 0:
        return f"check says {check}"
    failed = f"5 of 6 functions; failed: {mistake.fails}" if mistake.fails else "6 functions"
    if not engine.ready.endswith(f", {failed}"):
        return f"not ready with {failed}"
    answer = engine.ask(*mistake.request)
    if answer.status != mistake.status or mistake.answers not in with_one_id(answer.text):
        return f"the client is answered {answer}"
    try:
        until(
            lambda: has(mistake.prints, engine.printed()),
            lambda: f"not all of {mistake.prints} are printed",
        )
    except AssertionError as error:
        return str(error)
    if mistake.fails:
        ps = engine.run("ps").stdout
        if f"{mistake.fails}: UNAVAILABLE: " not in ps:
            return f"ps says {ps}"
    return ""


@cache
def take_port() -> tuple[int, str]:
    """Start the shop on a port that is taken. Return the exit code and the output."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with Engine({"nightcore.toml": ("127.0.0.1:8080", address)}) as engine:
            return engine.process.wait(), engine.printed().replace(address, "127.0.0.1:8080")


@dataclass(frozen=True)
class WrongType:
    """A handler that returns a value of the wrong type, in a compiled language."""

    file: str
    right: str
    wrong: str
    command: str
    says: str


WRONG_TYPES = [
    WrongType(
        "pricing/pricing.cpp",
        "free_shipping_from).dump();",
        "free_shipping_from);",
        "c++ -std=c++17 -fsyntax-only pricing/pricing.cpp $(pkg-config --cflags nightcore)",
        "a body, and what a handler returns, is text or a container of bytes",
    ),
    WrongType(
        "recommend/src/main.rs",
        "-> Result<Json<Vec<Similar>>> {",
        "-> usize { 3 }\nfn other(req: &Request) -> Result<Json<Vec<Similar>>> {",
        "make rust",
        "a handler cannot return `usize`",
    ),
    WrongType(
        "catalog/main.go",
        "return json.Marshal(products)",
        "return products, nil",
        "make go",
        "cannot use products (variable of type []product) as []byte value in return statement",
    ),
]


@cache
def compile_wrongly(mistake: WrongType) -> subprocess.CompletedProcess[str]:
    """Build a program with a mistake in it."""
    path = BUILT / mistake.file
    text = path.read_text()
    assert mistake.right in text
    try:
        path.write_text(text.replace(mistake.right, mistake.wrong))
        return subprocess.run(
            ["sh", "-c", mistake.command], cwd=BUILT, capture_output=True, text=True
        )
    finally:
        path.write_text(text)


class Mistakes(unittest.TestCase):
    def test_each_is_told_well_enough_to_put_it_right(self) -> None:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for mistake, outcome in zip(MISTAKES, threads.map(make, MISTAKES), strict=True):
                with self.subTest(mistake.name):
                    assert not outcome.wrong, f"{outcome.wrong}\n{outcome.printed}"

    def test_a_port_that_is_taken_is_told(self) -> None:
        code, printed = take_port()
        assert code == 2
        assert (
            "cannot listen on 127.0.0.1:8080, as [gateway] says: the port is in use" in printed
        ), printed

    def test_compilers_tell_of_wrong_return_types(self) -> None:
        for mistake in WRONG_TYPES:
            with self.subTest(mistake.file):
                built = compile_wrongly(mistake)
                assert built.returncode != 0
                assert mistake.says in built.stderr, built.stderr

    def test_a_mistake_in_development_is_told_and_the_old_code_serves_on(self) -> None:
        with Engine(command="dev") as engine:
            engine.change("cart/cart.py", 'key = "cart:"', 'key == "cart:')
            until(
                lambda: "SyntaxError: unterminated string literal" in engine.printed(),
                engine.printed,
            )
            assert engine.ask("GET", "/carts/eve").status == 200
            engine.change("cart/cart.py", 'key == "cart:', 'key = "basket:"')
            until(lambda: engine.function("Cart")["serving"] >= 3, engine.printed)
            assert engine.ask("GET", "/carts/eve").status == 200


if __name__ == "__main__":
    unittest.main()
