"""Adds the name of the function to the body, and calls the next function if there is one."""

import os

import nightcore


@nightcore.function("RelayPython")
async def relay(req: nightcore.AsyncRequest) -> bytes:
    body = req.body + b" > Python"
    following = os.environ.get("NEXT")
    return await req.call(following, body) if following else body


if __name__ == "__main__":
    nightcore.serve()
