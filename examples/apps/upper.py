"""A native function that the apps call."""

import nightcore


@nightcore.function
def Upper(req: nightcore.Request) -> bytes:  # noqa: N802
    return req.body.upper()


if __name__ == "__main__":
    nightcore.serve()
