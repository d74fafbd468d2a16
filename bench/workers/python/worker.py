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
            raise ValueError(f"{target} answered something else than it was sent")
        if i >= int(warm_up):
            samples += took.to_bytes(8, "little")
    return bytes(samples)


if __name__ == "__main__":
    name = sys.argv[1]
    nightcore.function(name)(measure if name.startswith("Caller") else echo)
    nightcore.serve()
