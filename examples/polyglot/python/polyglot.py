"""The hello functions in Python, under names of their own so that one engine can run them beside others.

FooPython calls the function whose name stands behind its own in the path: /function/FooPython/BarRust; else BarPython.
"""

import nightcore


@nightcore.function("FooPython")
async def foo(req: nightcore.AsyncRequest) -> bytes:
    callee = req.metadata.get(":path", "/").lstrip("/") or "BarPython"
    return await req.call(callee, req.body + b", World")


@nightcore.function("BarPython")
def bar(req: nightcore.Request) -> bytes:
    return b"From function Bar: " + req.body


if __name__ == "__main__":
    nightcore.serve()
