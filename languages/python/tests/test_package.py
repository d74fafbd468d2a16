"""Tests that need no engine."""

from __future__ import annotations

import asyncio
from typing import Any

import nightcore
import pytest
from nightcore import testing
from nightcore._errors import _ENDINGS
from nightcore._facts import STATUS_NAMES
from nightcore._log import write


def test_every_error_has_its_class() -> None:
    assert set(_ENDINGS) == set(STATUS_NAMES.values())


def test_metadata_are_ordered_pairs_and_a_mapping() -> None:
    metadata = nightcore.Metadata([("X-A", "1"), ("b", b"\xff"), ("x-a", "2")])
    assert metadata["X-a"] == "1"
    assert metadata.getlist("x-a") == ["1", "2"]
    assert list(metadata) == ["x-a", "b"]
    assert metadata.raw[1] == ("b", b"\xff")
    assert metadata["b"].encode("utf-8", "surrogateescape") == b"\xff"
    assert metadata.get("c") is None


@pytest.mark.parametrize("name", ["", "9", "a b", "x" * 64, "a\n"])
def test_names_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a function"):
        nightcore.function(name)(lambda _: b"")


def test_a_handler_is_registered_once() -> None:
    nightcore.function("Once")(lambda _: b"")
    with pytest.raises(ValueError, match="has a handler already"):
        nightcore.function("Once")(lambda _: b"")


def plain(req: nightcore.Request) -> nightcore.Reply:
    first, second = req.start("Bar", "1"), req.start("Bar", "2")
    return nightcore.Reply(second.result() + first.result(), 201, req.metadata)


async def coroutine(req: nightcore.AsyncRequest) -> bytes:
    one, two = await asyncio.gather(req.call("Bar", "1"), req.call("Bar", "2"))
    return two + one


def test_handlers_are_called_without_an_engine() -> None:
    def call(call: testing.Call) -> str:
        return f"{call.function} {call.body.decode()};"

    answer = testing.run(plain, call=call, metadata={"x-a": "b"})
    assert (answer, answer.status, answer.metadata["x-a"]) == (b"Bar 2;Bar 1;", 201, "b")
    assert testing.run(coroutine, call=call) == b"Bar 2;Bar 1;"


@pytest.mark.parametrize(
    ("metadata", "kind"), [(None, "application/json"), ({"Content-Type": "a/b"}, "a/b")]
)
def test_json_of_a_call_has_a_content_type(
    metadata: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[bytes, list[str]]] = []

    def call(call: testing.Call) -> None:
        calls.append((call.body, call.metadata.getlist("content-type")))

    def plain(req: nightcore.Request) -> None:
        req.call("Bar", json={"a": 1}, metadata=metadata)
        req.start("Bar", json={"a": 1}, metadata=metadata).result()

    async def coroutine(req: nightcore.AsyncRequest) -> None:
        await req.call("Bar", json={"a": 1}, metadata=metadata)

    def process_call(name: str, body: bytes, timeout: Any, pairs: Any) -> nightcore.Answer:
        call(testing.Call(name, body, nightcore.Metadata(pairs), timeout))
        return nightcore.Answer()

    def start_process_call(*told: Any) -> int:
        *call, done = told
        done(True, process_call(*call))
        return 0

    testing.run(plain, call=call)
    testing.run(coroutine, call=call)
    monkeypatch.setattr("nightcore._nightcore.process_call", process_call)
    monkeypatch.setattr("nightcore._nightcore.start_process_call", start_process_call)
    nightcore.call("Bar", json={"a": 1}, metadata=metadata)
    asyncio.run(nightcore.call_async("Bar", json={"a": 1}, metadata=metadata))
    assert calls == [(b'{"a":1}', [kind])] * 5


def test_what_a_test_raises_is_the_callees() -> None:
    def call(_: testing.Call) -> bytes:
        raise LookupError("no such user")

    async def call_async(_: testing.Call) -> bytes:
        raise LookupError("no such user")

    for handler, double in ((plain, call), (coroutine, call), (coroutine, call_async)):
        with pytest.raises(nightcore.FunctionFailed) as raised:
            testing.run(handler, call=double)
        assert (raised.value.message, raised.value.function) == ("no such user", "Bar")
        assert isinstance(raised.value.__cause__, LookupError)
    with pytest.raises(nightcore.NotFound):
        testing.run(coroutine)


def test_an_app_whose_lifespan_is_cancelled_has_none() -> None:
    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        if scope["type"] == "lifespan":
            raise asyncio.CancelledError

    async def start() -> None:
        await asyncio.wait_for(nightcore.asgi(app).startup(), timeout=10)

    asyncio.run(start())


def test_nothing_is_written_where_there_is_no_standard_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stderr", None)
    write("0" * 16, "nobody reads it")
