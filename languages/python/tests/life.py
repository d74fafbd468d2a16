"""A worker whose start and end a test can delay, by files in the folder that MARKS names."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import nightcore
from nightcore import AsyncRequest, Request

MARKS = Path(os.environ["MARKS"])


def said(text: str) -> None:
    """Append a line to the record of what the processes have done."""
    with (MARKS / "said").open("a") as file:
        file.write(f"{text} {os.getpid()}\n")


def begin() -> bool:
    """Return whether the start may go on now; raise an error if the test wants it to fail."""
    if (MARKS / "fail").exists():
        raise RuntimeError("the database is away")
    return (MARKS / "begin").exists()


async def begin_in_loop() -> None:
    """Wait until the test lets the start go on."""
    said("starting")
    while not begin():
        await asyncio.sleep(0.01)


async def finish(number: int) -> None:
    """Run after the answer, until the test lets it finish."""
    try:
        while not (MARKS / "finish").exists():
            await asyncio.sleep(0.01)
        said(f"finished {number}")
    except asyncio.CancelledError:
        said(f"cut {number}")
        raise


async def app(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI app."""
    if scope["type"] == "lifespan":
        await receive()
        for_ever = asyncio.create_task(asyncio.sleep(1e9))
        try:
            await begin_in_loop()
        except RuntimeError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        said("shutdown")
        for_ever.cancel()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
    if scope["path"].endswith("/after"):
        await finish(1)


tasks: list[asyncio.Task[None]] = []


@nightcore.function("Coroutine")
async def coroutine(req: AsyncRequest) -> str:
    if req.metadata[":path"] == "/after":
        tasks.extend(asyncio.create_task(finish(number)) for number in range(2))
    return str(os.getpid())


@nightcore.function("Plain")
def plain(_req: Request) -> str:
    return str(os.getpid())


if os.environ["NIGHTCORE_FUNCTION"] == "Coroutine":
    nightcore.on_start(begin_in_loop)

    @nightcore.on_stop
    async def stop_in_loop() -> None:
        said("shutdown")


if os.environ["NIGHTCORE_FUNCTION"] == "Plain":

    @nightcore.on_start
    def begin_plain() -> None:
        said("starting")
        while not begin():
            time.sleep(0.01)

    @nightcore.on_stop
    def stop_plain() -> None:
        said("shutdown")


if __name__ == "__main__":
    if os.environ["NIGHTCORE_FUNCTION"] == "App":
        nightcore.serve(nightcore.asgi(app))
    else:
        nightcore.serve()
    said("ended")
    sys.stdout.flush()
