"""Foo calls Bar, as in the other languages' hello."""

import nightcore


@nightcore.function
async def Foo(req: nightcore.AsyncRequest) -> bytes:  # noqa: N802
    return await req.call("Bar", req.body + b", World")


@nightcore.function
def Bar(req: nightcore.Request) -> bytes:  # noqa: N802
    return b"From function Bar: " + req.body


if __name__ == "__main__":
    nightcore.serve()
