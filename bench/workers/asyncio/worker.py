"""The measured worker in Python, with coroutines; see ../README.md."""

import sys
import time

import nightcore


async def echo(req: nightcore.AsyncRequest) -> bytes:
    return req.body


async def measure(req: nightcore.AsyncRequest) -> bytes:
    size, count, warm_up, target = req.body.decode().split()
    body = b"x" * int(size)
    samples = bytearray()
    for i in range(int(warm_up) + int(count)):
        start = time.perf_counter_ns()
        answer = await req.call(target, body)
        took = time.perf_counter_ns() - start
        if len(answer) != len(body):
            raise ValueError(f"{target} did not return the body that it was sent")
        if i >= int(warm_up):
            samples += took.to_bytes(8, "little")
    return bytes(samples)


async def relay(req: nightcore.AsyncRequest) -> None:
    following, _, rest = req.text().partition(" ")
    await req.call(following, rest)


async def app(req: nightcore.AsyncRequest) -> bytes:
    for target in targets:
        if len(await req.call(target, req.body)) != len(req.body):
            raise ValueError(f"{target} did not return the body that it was sent")
    return req.body


if __name__ == "__main__":
    name, *targets = sys.argv[1:]
    handlers = {"Caller": measure, "Relay": relay}
    handler = next((handlers[role] for role in handlers if name.startswith(role)), echo)
    nightcore.function(name)(app if targets else handler)
    nightcore.serve()
