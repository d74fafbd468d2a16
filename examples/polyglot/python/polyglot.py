"""The hello functions in Python, with other names, so that one engine can run all languages.

FooPython calls the function that the path names, as in /function/FooPython/BarRust, or BarPython.
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
