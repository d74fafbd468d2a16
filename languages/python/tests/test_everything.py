"""Tests of everything.py, a program that uses all of the package."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path

import nightcore
from conftest import Engine
from everything import FAILURES, test_without_an_engine
from nightcore import testing

__all__ = ["test_without_an_engine"]

PROGRAM = Path(__file__).with_name("everything.py")
Start = Callable[..., Engine]


def public(kind: type) -> set[str]:
    """Return the public names of a class, with those inherited from the package's classes."""
    own = [each for each in kind.__mro__ if each.__module__.startswith("nightcore.")]
    names = {name for each in own for name in [*vars(each), *inspect.get_annotations(each)]}
    return {name for name in names if not name.startswith("_")}


def test_the_program_uses_every_public_name() -> None:
    program = PROGRAM.read_text()
    for module, before in ((nightcore, "nightcore."), (testing, "testing.")):
        for name in module.__all__:
            assert name == "testing" or f"{before}{name}" in program, name
            what = getattr(module, name)
            # Programs do not use the members of these two classes.
            if inspect.isclass(what) and what not in (nightcore.LogHandler, nightcore.HttpError):
                for member in public(what):
                    assert f".{member}" in program, f"{name}.{member}"


CASES = [
    ("FindUser", "Ada", '{"name":"Ada","age":3}'),
    ("Pass", "Ada", '{"name":"Ada","age":3}'),
    ("Strict", "Ada", "Ada 3"),
    (
        "Strict",
        "nobody",
        "404 text/plain; charset=utf-8 answered with HTTP status 404: there is no nobody",
    ),
    (
        "Strict",
        "retired",
        '410 application/json answered with HTTP status 410: {"gone":"retired"}',
    ),
    ("Both", "", "text[1]"),
    ("Outside", "", 'text {"a":1}'),
    ("Text", "", "text"),
    ("Nothing", "", ""),
    ("Web", "", "TEXT"),
    ("OldWeb", "", "TEXT"),
    ("Catch", "NOT_FOUND", "Fail FUNCTION_FAILED "),
    (
        "About",
        "",
        '{"function":"About","caller":null,"id":16,"in time":true,"current":true}',
    ),
]
"""Each case has a function, the body of a call, and the beginning of the answer."""


def test_each_call_gets_the_expected_answer(start: Start) -> None:
    names = {function for function, _, _ in CASES}
    engine = start(*sorted(names | {"FindUser", "Text", "Shape", "Fail"}), program=PROGRAM)
    for function, body, said in CASES:
        status, text = engine.post(function, body)
        assert (status, text[: len(said)]) == (200, said), (function, body)


def test_functions_reply_with_http_statuses(start: Start) -> None:
    engine = start("FindUser", "ListUsers", "Shape", "Pass", "StrictPlain", program=PROGRAM)
    assert engine.post("FindUser", "nobody") == (404, "there is no nobody")
    assert engine.post("FindUser", "retired") == (410, '{"gone":"retired"}')
    assert engine.post("Pass", "nobody") == (404, "there is no nobody")
    assert engine.post("Shape", "[1]") == (201, "[1]")
    status, text = engine.post("ListUsers")
    assert (status, json.loads(text)[0]) == (200, "none")
    # If a caller does not accept an answer, its failure names the function that gave the answer.
    error = json.loads(engine.post("StrictPlain", "nobody")[1])
    assert (error["error"], error["status"]) == ("FUNCTION_FAILED", 500)
    assert error["cause"] == [
        {
            "error": "FUNCTION_FAILED",
            "function": "FindUser",
            "message": "answered with HTTP status 404: there is no nobody",
        }
    ]
    # An HTTP error is deliberate, so it is not logged.
    assert engine.log("FindUser") == ""


def test_each_failure_reaches_the_caller_with_its_message(start: Start) -> None:
    engine = start("Catch", "Fail", program=PROGRAM)
    for status in FAILURES:
        assert "as it was told" in engine.post("Catch", status)[1], status
