"""The soak's worker in Python, with coroutines. tests/soak/README.md says what it does."""

from __future__ import annotations

import asyncio
import os
import sys

import nightcore
from nightcore import AsyncRequest


async def handle(req: AsyncRequest) -> bytes:
    callee, _, rest = req.metadata.get("route", "").partition(",")
    if not callee:
        return await leaf(req)
    metadata: list[tuple[str, str | bytes]] = [("route", rest), ("do", req.metadata.get("do", ""))]
    body = b"%s>%s" % (req.body, NAME)
    count = int(req.metadata.get("fan", "0"))
    if not count:
        return b"%s<%s" % (await req.call(callee, body, metadata=metadata), NAME)
    calls = [req.call(callee, b"%d.%s" % (i, body), metadata=metadata) for i in range(count)]
    return b"%s<%s" % (b"".join(await asyncio.gather(*calls)), NAME)


async def leaf(req: AsyncRequest) -> bytes:
    line = req.body[: req.body.index(b"|")] + b"\n"
    # At most PIPE_BUF bytes, so that the write is atomic.
    os.write(RAN, line)
    what, _, ms = req.metadata.get("do", "").partition(":")
    if what == "sleep":
        await asyncio.sleep(int(ms) / 1000)
    elif what == "exit":
        os._exit(3)
    elif what == "say":
        print(line.decode().strip())
    return b"%s!%s" % (req.body, NAME)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: worker RAN NAME")
    RAN = os.open(sys.argv[1], os.O_WRONLY)
    NAME = sys.argv[2].encode()
    nightcore.function(sys.argv[2])(handle)
    nightcore.serve()
