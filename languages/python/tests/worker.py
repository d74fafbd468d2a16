"""The functions that the tests call."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import nightcore
from nightcore import AsyncRequest, Request


@nightcore.function
def Plain(req: Request) -> nightcore.Answer:  # noqa: N802
    return req.call("Bar", req.body + b", World")


@nightcore.function
async def Foo(req: AsyncRequest) -> bytes:  # noqa: N802
    return await req.call("Bar", req.body + b", World")


@nightcore.function
async def Others(req: AsyncRequest) -> None:  # noqa: N802
    """Make calls in sequence until a timer has fired and a socket has echoed 20 bytes."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    turns = 20
    ticks: list[None] = []

    def tick() -> None:
        ticks.append(None)
        loop.call_later(0.0001, tick)

    async def echo() -> None:
        while data := await loop.sock_recv(theirs, 1):
            await loop.sock_sendall(theirs, data)

    async def talk() -> None:
        for _ in range(turns):
            await loop.sock_sendall(ours, b"x")
            await loop.sock_recv(ours, 1)
        ours.close()

    tick()
    talks = asyncio.gather(echo(), talk())
    calls = 0
    while not (ticks and talks.done()):
        calls += 1
        assert calls < 1000, f"{len(ticks)} ticks, talks done: {talks.done()}"
        await req.call("Bar")
    theirs.close()


@nightcore.function
async def Cpu(_req: AsyncRequest) -> str:  # noqa: N802
    return str(time.process_time())


@nightcore.function("Bar")
def bar(req: Request) -> str:
    return "From function Bar: " + req.text()


@nightcore.function("Json")
async def json_(req: AsyncRequest) -> nightcore.Reply:
    answer = await req.call("Shape", json=req.json(), metadata={"X-Kind": "test"}, timeout=5)
    return nightcore.Reply(json=answer.json(), status=answer.status, metadata=answer.metadata)


@nightcore.function("Shape")
def shape(req: Request) -> nightcore.Reply:
    headers = [("x-kind", req.metadata["x-kind"]), ("set-cookie", "a"), ("set-cookie", "b")]
    return nightcore.Reply({"got": req.json()}, status=201, metadata=headers)


@nightcore.function("Sleep")
async def sleep(_req: AsyncRequest) -> None:
    await asyncio.sleep(0.1)


@nightcore.function("Gather")
async def gather(req: AsyncRequest) -> str:
    name, count = req.text().split()
    answers = await asyncio.gather(*(req.call(name) for _ in range(int(count))))
    return str(len(answers))


@nightcore.function("Again")
async def again(req: AsyncRequest) -> bytes:
    return req.body or await req.call("Again", b"twice")


cancelled = 0


@nightcore.function("Stuck")
async def stuck(req: AsyncRequest) -> str:
    global cancelled
    if req.body:
        return str(cancelled)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        cancelled += 1
        raise
    return ""


@nightcore.function("GiveUp")
async def give_up(req: AsyncRequest) -> str:
    match req.text():
        case "cancel":
            task = asyncio.create_task(req.call("Stuck"))
            await asyncio.sleep(0.02)
            task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            return type(outcome).__name__
        case "wait_for":
            try:
                await asyncio.wait_for(req.call("Stuck"), 0.02)
            except asyncio.TimeoutError:
                return "TimeoutError"
        case "timeout":
            try:
                await req.call("Stuck", timeout=0.02)
            except TimeoutError as error:
                return type(error).__name__
    return "nothing"


@nightcore.function("Briefly")
async def briefly(req: AsyncRequest) -> str:
    """Make calls with so short a timeout that many are cancelled before they begin."""
    calls = [req.call("Stuck", timeout=0.0001) for _ in range(200)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    return str(sum(isinstance(outcome, nightcore.DeadlineExceeded) for outcome in outcomes))


@nightcore.function("Fails")
def fails(req: Request) -> Any:
    match req.text():
        case "raise":
            raise LookupError("no such user")
        case "exit":
            raise SystemExit(3)
        case "tuple":
            return {"a": 1}, 201
        case "coroutine":
            return asyncio.sleep(0)
        case "body and json":
            return req.call("Bar", b"x", json=1)
        case "timeout":
            return req.call("Bar", timeout=-1)
        case "body":
            return req.call("Bar", 7)  # type: ignore[arg-type]
        case "metadata":
            return req.call("Bar", metadata={"a b": "c"})
        case "serve":
            return nightcore.serve()
        case "function":
            nightcore.function("More")(bar)
        case "callee":
            return req.call("Nobody")
        case "caught":
            try:
                req.call("Nobody")
            except nightcore.NotFound as error:
                return f"{error.function} {error.status}"
    return None


def angry(*_: object) -> Any:
    raise RuntimeError("angry")


class Unreadable(Exception):
    __str__ = __repr__ = angry


class OwnError(nightcore.FunctionFailed):
    def __init__(self) -> None:
        pass


class OwnHttpError(nightcore.HttpError):
    def __init__(self) -> None:
        pass


class OtherClass(Exception):
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return angry()


def with_attribute(**attributes: Any) -> nightcore.Error:
    error = nightcore.FunctionFailed("x")
    vars(error).update(attributes)
    return error


class Text(str):
    encode = angry  # type: ignore[assignment]


HOSTILE: dict[str, Any] = {
    "an exception as message": lambda: nightcore.FunctionFailed(
        ValueError("x")  # type: ignore[arg-type]
    ),
    "surrogate": lambda: ValueError("\udcff"),
    "own surrogate": lambda: nightcore.FunctionFailed("\udcff"),
    "str raises": Unreadable,
    "message raises": lambda: nightcore.FunctionFailed(Unreadable()),  # type: ignore[arg-type]
    "no message": OwnError,
    "other class": OtherClass,
    "no HTTP status": OwnHttpError,
    "HTTP body": lambda: nightcore.HttpError(404, {"a": object()}),
    "HTTP metadata": lambda: nightcore.HttpError(404, "x", {"a b": "c"}),
    "HTTP status": lambda: nightcore.HttpError(200),
    "status": lambda: with_attribute(status=[]),
    "function": lambda: with_attribute(function=7),
    "causes": lambda: with_attribute(causes=7),
    "a cause": lambda: with_attribute(causes=(nightcore.Cause("F", "NOTHING", "x"),)),
    "exit": lambda: SystemExit(3),
    "interrupt": KeyboardInterrupt,
    "generator": GeneratorExit,
}
"""Exceptions that the library cannot report as they are."""

ANSWERS: dict[str, Any] = {
    "text": lambda: Text("x"),
    "metadata": lambda: nightcore.Reply(b"", metadata={"a": "\ud800"}),
}
"""Answers that cannot be encoded."""


def hostile(req: Request | AsyncRequest) -> Any:
    what = req.text()
    if what == "?":
        return ",".join([*HOSTILE, *ANSWERS])
    if what in HOSTILE:
        raise HOSTILE[what]()
    return ANSWERS[what]()


@nightcore.function("HostilePlain")
def hostile_plain(req: Request) -> Any:
    return hostile(req)


@nightcore.function("HostileAsync")
async def hostile_async(req: AsyncRequest) -> Any:
    return hostile(req)


kept: dict[str, Any] = {}


@nightcore.function("Late")
def late(req: Request) -> str | None:
    if req.body:
        try:
            kept["request"].call("Bar")
        except nightcore.InvalidState as error:
            return str(error)
    kept["request"] = req
    return None


@nightcore.function("OtherThread")
def other_thread(req: Request) -> str:
    said: list[str] = []

    def use() -> None:
        try:
            req.call("Bar")
        except nightcore.InvalidState as error:
            said.append(str(error))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    return said[0]


def _use_in_child(connection: Any) -> None:
    try:
        kept["request"].call("Bar")
    except nightcore.InvalidState as error:
        connection.send(str(error))


@nightcore.function("Fork")
def fork(req: Request) -> str:
    kept["request"] = req
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_use_in_child, args=(theirs,))
    child.start()
    child.join()
    said = str(ours.recv()) if ours.poll(5) else "nothing"
    return f"{said}; {req.call('Bar', 'the parent goes on').text()}"


@nightcore.function("Log")
def log(req: Request) -> None:
    logging.warning("logged %s", req.text())
    print("printed", req.text())


@nightcore.function("Busy")
def busy(_req: Request) -> str:
    end = time.monotonic() + 0.05
    while time.monotonic() < end:
        pass
    return str(os.getpid())


try:
    nightcore.call("Bar")
except nightcore.InvalidState as error:
    refused_early = str(error)


@nightcore.function("Early")
async def early(_req: AsyncRequest) -> str:
    try:
        nightcore.call("Bar")
    except nightcore.InvalidState as error:
        said = f"{refused_early}; {error}"
    for call in (nightcore.call_async, lambda name: asyncio.to_thread(nightcore.call, name)):
        try:
            await call("\udcff")
        except nightcore.NotFound as error:
            said += f"; {error.message}"
    return said


orders: set[asyncio.Task[None]] = set()


@nightcore.function("Order")
async def order(req: AsyncRequest) -> str:
    pipe = Path(req.text())

    async def go_on() -> None:
        await asyncio.to_thread(pipe.read_bytes)
        print((await nightcore.call_async("Bar", "later")).text())

    if req.body:
        orders.add(asyncio.create_task(go_on()))
    return str(os.getpid())


@nightcore.function("OrderPlain")
def order_plain(req: Request) -> str:
    pipe = Path(req.text())

    def go_on() -> None:
        pipe.read_bytes()
        print(nightcore.call("Bar", "later").text())

    if req.body:
        threading.Thread(target=go_on).start()
    return str(os.getpid())


@nightcore.function("Farewell")
async def farewell(_req: AsyncRequest) -> None: ...


@nightcore.function("FarewellPlain")
def farewell_plain(_req: Request) -> None: ...


if os.environ.get("NIGHTCORE_FUNCTION") == "Farewell":

    @nightcore.on_stop
    async def say_farewell() -> None:
        print((await nightcore.call_async("Bar", "farewell")).text())


if os.environ.get("NIGHTCORE_FUNCTION") == "FarewellPlain":
    nightcore.on_stop(lambda: print(nightcore.call("Bar", "farewell").text()))


@nightcore.function("TakeBack")
async def take_back(_req: AsyncRequest) -> str:
    call = asyncio.create_task(nightcore.call_async("Stuck"))
    await asyncio.sleep(0.02)
    call.cancel()
    (outcome,) = await asyncio.gather(call, return_exceptions=True)
    return type(outcome).__name__


async def page(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI app."""
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    if (await receive())["body"] == b"exit":
        raise SystemExit(3)
    said = f"{scope['root_path']} {scope['path']} {scope['server']}"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": said.encode()})


if __name__ == "__main__":
    logging.basicConfig()
    if os.environ.get("NIGHTCORE_FUNCTION") == "Page":
        nightcore.serve(nightcore.asgi(page))
    else:
        nightcore.serve()
