"""The hello functions in Python, under names of their own.

Because of these names, one engine can run them beside those of other languages.
FooPython calls the function whose name follows its own in the path: /function/FooPython/BarRust.
If the path has no such name, FooPython calls BarPython.
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
