"""A program that uses all of the package. The tests check its types and run it."""

from __future__ import annotations

import asyncio
import http
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypedDict

import nightcore
from nightcore import testing

started: list[str] = []


@nightcore.on_start
async def begin() -> None:
    started.append(f"started with {nightcore.__version__}")


@nightcore.on_stop
def end() -> None:
    started.clear()


class User(TypedDict):
    """The JSON of a user."""

    name: str
    age: int


@nightcore.function
async def FindUser(req: nightcore.AsyncRequest) -> User:  # noqa: N802
    """Return a dict, which is sent as JSON."""
    name = req.text()
    if name == "nobody":
        raise nightcore.HttpError(404, f"there is no {name}", {"x-reason": "unknown"})
    if name == "retired":
        raise nightcore.HttpError(http.HTTPStatus.GONE, {"gone": name})
    if name == "broken":
        raise nightcore.FunctionFailed("the users are broken")
    return {"name": name, "age": len(name)}


@nightcore.function("ListUsers")
def list_users(req: nightcore.Request) -> list[str]:
    """Return a list, which is sent as JSON."""
    pairs: list[tuple[str, str]] = req.metadata.pairs()
    many: list[str] = req.metadata.getlist("x-many")
    raw: list[tuple[str, bytes]] = req.metadata.raw
    assert len(pairs) == len(raw)
    return [*many, req.metadata.get("x-one", "none"), *sorted(req.metadata)]


@nightcore.function("Shape")
def shape(req: nightcore.Request) -> nightcore.Reply:
    reply = nightcore.Reply(req.json(), 201, [("x-shape", "round"), ("x-shape", b"flat")])
    assert reply.metadata[":status"] == "201"
    assert reply.body
    return reply


@nightcore.function("Text")
async def text(_req: nightcore.AsyncRequest) -> str:
    return "text"


@nightcore.function("Nothing")
def nothing(_req: nightcore.Request) -> None:
    return


@nightcore.function("Pass")
async def passes(req: nightcore.AsyncRequest) -> nightcore.Answer:
    """Pass on the answer to a call."""
    return await req.call("FindUser", req.body, metadata=nightcore.Metadata({"a": "b"}))


def describe(error: nightcore.Error) -> str:
    causes: tuple[nightcore.Cause, ...] = error.causes
    below = [f"{cause.function} {cause.status} {cause.message}" for cause in causes]
    return " ".join([error.function, error.status, error.message, *below])


@nightcore.function("Strict")
async def strict(req: nightcore.AsyncRequest) -> str:
    """Turn the HTTP status of an answer into an error and catch it."""
    try:
        answer = (await req.call("FindUser", req.body, timeout=5.0)).raise_for_status()
    except nightcore.HttpStatusError as error:
        answer = error.answer
        return f"{answer.status} {answer.metadata['content-type']} {error.message}"
    user: User = answer.json()
    return f"{user['name']} {user['age']}"


@nightcore.function("StrictPlain")
def strict_plain(req: nightcore.Request) -> str:
    """Fail with the error that the HTTP status of an answer becomes."""
    return req.call("FindUser", req.body).raise_for_status().text()


@nightcore.function("Both")
def both(req: nightcore.Request) -> bytes:
    left: nightcore.Pending = req.start("Text")
    right = req.start("Shape", json=[1], timeout=5)
    answers = left.result() + right.result()
    assert left.done
    return answers


@nightcore.function("About")
def about(req: nightcore.Request) -> dict[str, Any]:
    req.log("about itself")
    if req.cancelled:
        raise nightcore.Cancelled(req.cancel_reason or "")
    left: float | None = req.time_left
    return {
        "function": req.function,
        "caller": req.caller,
        "id": len(req.id),
        "in time": left is not None and left > 0,
        "current": nightcore.current_request(nightcore.Request) is req,
    }


@nightcore.function("Outside")
async def outside(_req: nightcore.AsyncRequest) -> str:
    said: list[str] = []

    def other_thread() -> None:
        said.append(nightcore.call("Text", timeout=5).text())

    thread = threading.Thread(target=other_thread)
    thread.start()
    await asyncio.to_thread(thread.join)
    said.append((await nightcore.call_async("Shape", json={"a": 1}, metadata=[("a", "b")])).text())
    return " ".join(said)


FAILURES: dict[str, type[nightcore.Error]] = {
    kind.status: kind
    for kind in (
        nightcore.NotFound,
        nightcore.PayloadTooLarge,
        nightcore.FunctionFailed,
        nightcore.ContainerDied,
        nightcore.Overloaded,
        nightcore.Unavailable,
        nightcore.DeadlineExceeded,
        nightcore.Cancelled,
        nightcore.DepthExceeded,
        nightcore.InvalidArgument,
        nightcore.InvalidState,
    )
}


@nightcore.function("Fail")
def fail(req: nightcore.Request) -> bytes:
    raise FAILURES[req.text()]("as it was told")


@nightcore.function("Catch")
async def catch(req: nightcore.AsyncRequest) -> str:
    try:
        await req.call("Fail", req.body)
    except nightcore.NotFound as error:
        return f"not found: {describe(error)}"
    except nightcore.Error as error:
        return describe(error)
    return "nothing"


Message = MutableMapping[str, Any]


async def web(
    scope: Message,
    _receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """An ASGI app."""
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    answer = await nightcore.current_request().call("Text")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": answer.text().upper().encode()})


def old_web(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A WSGI app."""
    start_response("200 OK", [("content-type", "text/plain")])
    return [nightcore.current_request().call("Text").text().upper().encode()]


nightcore.function("Web")(nightcore.asgi(web))
nightcore.function("OldWeb")(nightcore.wsgi(old_web))


def answer_call(call: testing.Call) -> str:
    return f"{call.function} {call.body!r} {call.timeout} {len(call.metadata)}"


async def answer_later(call: testing.Call) -> bytes:
    await asyncio.sleep(0)
    return call.body


def test_without_an_engine(nightcore_request: testing.SetRequest) -> None:
    plain: nightcore.Answer = testing.run(both, call=answer_call)
    assert plain == b"Text b'' None 0Shape b'[1]' 5 1"
    replies: testing.Calls = answer_later
    assert asyncio.run(testing.run_async(passes, "Ada", call=replies)) == b"Ada"
    request = nightcore_request(call=answer_call)
    assert nightcore.current_request(nightcore.AsyncRequest) is request
    with testing.set_request(nightcore.Request, call=answer_call):
        assert nightcore.current_request().call("A", "b").text() == "A b'b' None 0"


if __name__ == "__main__":
    logging.basicConfig(handlers=[nightcore.LogHandler()], level=logging.INFO)
    nightcore.serve()
