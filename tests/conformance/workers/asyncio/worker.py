"""The conformance worker in Python, with coroutines. SPEC.md describes each case."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from typing import Any

import nightcore
from nightcore import AsyncRequest


async def handle(req: AsyncRequest) -> Any:
    match case := req.metadata.get("case", ""):
        case "echo":
            return req.body
        case "upper":
            return req.body.upper()
        case "binary":
            return bytes(byte ^ 255 for byte in req.body)
        case "big":
            size = int(req.body)
            return (bytes(range(251)) * (size // 251 + 1))[:size]
        case "count":
            return str(len(req.body))
        case "fail":
            raise nightcore.FunctionFailed(req.text())
        case "error":
            raise ConnectionError(req.text())
        case "throw":
            raise ZeroDivisionError(req.text())
        case "sleep":
            await asyncio.sleep(int(req.body) / 1000)
            return "slept"
        case "call":
            return bytes(
                await req.call(text(req, "target"), req.body, metadata=to(text(req, "to")))
            )
        case "catch":
            return await catch(req)
        case "mistake":
            return await mistake(req)
        case "fan_out":
            return await fan_out(req)
        case "chain":
            return await chain(req)
        case "metadata":
            pairs = own(req.metadata)
            lines = b"".join(b"%s=%s\n" % (name.encode(), value) for name, value in pairs)
            return nightcore.Reply(lines, metadata=pairs)
        case "relay_metadata":
            answer = await req.call(
                text(req, "target"), metadata=to("metadata") + own(req.metadata)
            )
            return nightcore.Reply(answer, metadata=own(answer.metadata))
        case "status":
            return nightcore.Reply(req.body, status=int(req.body))
        case "http_error":
            raise nightcore.HttpError(int(req.body), "as told: größer")
        case "json":
            req.json()
            return "json"
        case "check_status":
            target = text(req, "target")
            answer = await req.call(target, req.body, metadata=to("http_error"))
            answer.raise_for_status()
            return bytes(answer)
        case "relay_status":
            return str(
                (await req.call(text(req, "target"), req.body, metadata=to("status"))).status
            )
        case "origin":
            return "external" if req.caller is None else f"internal {req.caller}"
        case "function":
            return req.function
        case "id":
            return req.id
        case "deadline":
            assert req.time_left is not None
            return str(int(req.time_left * 1000))
        case "path":
            return "".join(text(req, name) + "\n" for name in (":method", ":path", ":query"))
        case "crash":
            os._exit(3)
        case "wait_for_cancel":
            print(f"waiting {req.text()}")
            try:
                await asyncio.Event().wait()
            finally:
                at = time.monotonic_ns()
                print(f"cancelled {req.text()}: {req.cancel_reason}")
                print(f"noticed {req.text()} at {at}")
        case "later":
            ms = req.metadata.get("timeout-ms")
            asked = (
                text(req, "target"),
                req.body,
                to(text(req, "to")),
                int(ms) / 1000 if ms else None,
            )
            begun.add(task := asyncio.create_task(later(*asked)))
            task.add_done_callback(begun.discard)
            return "begun"
        case "print":
            print(req.text())
            return "printed"
        case "log":
            logging.getLogger("worker").warning("%s", req.text())
            return "logged"
        case "twice":
            print("twice: none")
            return req.body
        case _:
            raise nightcore.FunctionFailed(f'no case "{case}"')


begun: set[asyncio.Task[None]] = set()


async def later(target: str, body: bytes, metadata: Any, timeout: float | None) -> None:
    try:
        ended = (
            await nightcore.call_async(target, body, metadata=metadata, timeout=timeout)
        ).text()
    except nightcore.Error as error:
        ended = error.status
    print(f"later {body.decode()}: {ended}")


def text(req: AsyncRequest, name: str) -> str:
    return req.metadata.get(name, "")


def to(case: str) -> list[tuple[str, str | bytes]]:
    return [("case", case)]


def own(metadata: nightcore.Metadata) -> list[tuple[str, str | bytes]]:
    """Returns the pairs whose name begins with x-."""
    return [(name, value) for name, value in metadata.raw if name.startswith("x-")]


async def catch(req: AsyncRequest) -> str | bytes:
    ms = req.metadata.get("timeout-ms")
    try:
        answer = await req.call(
            text(req, "target"),
            req.body,
            metadata=to(text(req, "to")),
            timeout=int(ms) / 1000 if ms else None,
        )
    except nightcore.Error as error:
        causes = "".join(f"\n{cause.function} {cause.status}" for cause in error.causes)
        return f"{error.status}\n{error.function}\n{error.message}{causes}"
    return b"OK\n" + answer


kept: AsyncRequest | None = None


async def mistake(req: AsyncRequest) -> str:
    global kept
    before, kept = kept or req, req
    pairs = to("echo")
    if "name" in req.metadata:
        pairs.append((text(req, "name"), b"v" * int(text(req, "value"))))
    ms = req.metadata.get("timeout-ms")
    body = bytes(int(req.metadata.get("size", "0")))
    call = {"request": req.call, "process": nightcore.call_async, "ended": before.call}[
        text(req, "by")
    ]
    try:
        await call(
            text(req, "target"), body, metadata=pairs, timeout=int(ms) / 1000 if ms else None
        )
    except nightcore.Error as error:
        return error.status
    return "OK"


async def fan_out(req: AsyncRequest) -> bytes:
    target, case = text(req, "target"), to(text(req, "to"))
    calls = [req.call(target, str(i), metadata=case) for i in range(int(req.body))]
    return b"".join(answer + b";" for answer in await asyncio.gather(*calls))


async def chain(req: AsyncRequest) -> bytes:
    route = text(req, "route")
    if not route:
        return req.body
    following, _, rest = route.partition(",")
    last = text(req, "to")
    case = last if last and not rest else "chain"
    body = b"%s>%s" % (req.body, req.function.encode())
    return bytes(
        await req.call(following, body, metadata=[*to(case), ("route", rest), ("to", last)])
    )


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the values that an ASGI app receives for a request."""
    if scope["type"] != "http":
        raise RuntimeError("only HTTP is served")
    prefix, body = scope["root_path"], (await receive())["body"]
    assert scope["path"].startswith(prefix)
    parts = [scope["method"], prefix, scope["path"][len(prefix) :], scope["query_string"].decode()]
    value = dict(scope["headers"]).get(b"x-value", b"")
    told = b"\n".join([*(part.encode() for part in parts), value, b"%d" % len(body)])
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/plain")],
        }
    )
    await send({"type": "http.response.body", "body": told})


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: worker NAME")
    if sys.argv[1].startswith("App"):
        nightcore.serve(nightcore.asgi(app))
        sys.exit()
    logging.basicConfig(handlers=[nightcore.LogHandler()], format="%(message)s")
    nightcore.function(sys.argv[1])(handle)
    nightcore.serve()
