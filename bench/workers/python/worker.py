"""The measured worker in Python, with plain functions; see ../README.md."""

import sys
import time

import nightcore


def echo(req: nightcore.Request) -> bytes:
    return req.body


def measure(req: nightcore.Request) -> bytes:
    size, count, warm_up, target = req.body.decode().split()
    body = b"x" * int(size)
    samples = bytearray()
    for i in range(int(warm_up) + int(count)):
        start = time.perf_counter_ns()
        answer = req.call(target, body)
        took = time.perf_counter_ns() - start
        if len(answer) != len(body):
            raise ValueError(f"{target} did not return the body that it was sent")
        if i >= int(warm_up):
            samples += took.to_bytes(8, "little")
    return bytes(samples)


def app(req: nightcore.Request) -> bytes:
    for target in targets:
        if len(req.call(target, req.body)) != len(req.body):
            raise ValueError(f"{target} did not return the body that it was sent")
    return req.body


if __name__ == "__main__":
    name, *targets = sys.argv[1:]
    handlers = {"Caller": measure}
    handler = next((handlers[role] for role in handlers if name.startswith(role)), echo)
    nightcore.function(name)(app if targets else handler)
    nightcore.serve()
