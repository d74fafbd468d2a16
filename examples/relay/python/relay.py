"""A function that adds its name to the body and calls the next one, if there is one; the answer is the last one's."""

import os

import nightcore


@nightcore.function("RelayPython")
async def relay(req: nightcore.AsyncRequest) -> bytes:
    body = req.body + b" > Python"
    following = os.environ.get("NEXT")
    return await req.call(following, body) if following else body


if __name__ == "__main__":
    nightcore.serve()
