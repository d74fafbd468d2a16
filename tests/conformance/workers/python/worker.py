"""The conformance worker in Python, with plain functions. SPEC.md describes each case."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

import nightcore
from nightcore import Request


def handle(req: Request) -> Any:
    match case := req.metadata.get("case", ""):
        case "echo":
            return req.body
        case "upper":
            return req.body.upper()
        case "binary":
            return bytes(byte ^ 255 for byte in req.body)
        case "big":
            size = int(req.body)
            return (bytes(range(251)) * (size // 251 + 1))[:size]
        case "count":
            return str(len(req.body))
        case "fail":
            raise nightcore.FunctionFailed(req.text())
        case "error":
            raise ConnectionError(req.text())
        case "throw":
            raise ZeroDivisionError(req.text())
        case "sleep":
            time.sleep(int(req.body) / 1000)
            return "slept"
        case "call":
            return bytes(req.call(text(req, "target"), req.body, metadata=to(text(req, "to"))))
        case "catch":
            return catch(req)
        case "mistake":
            return mistake(req)
        case "fan_out":
            return fan_out(req)
        case "chain":
            return chain(req)
        case "metadata":
            pairs = own(req.metadata)
            lines = b"".join(b"%s=%s\n" % (name.encode(), value) for name, value in pairs)
            return nightcore.Reply(lines, metadata=pairs)
        case "relay_metadata":
            answer = req.call(text(req, "target"), metadata=to("metadata") + own(req.metadata))
            return nightcore.Reply(answer, metadata=own(answer.metadata))
        case "status":
            return nightcore.Reply(req.body, status=int(req.body))
        case "http_error":
            raise nightcore.HttpError(int(req.body), "as told: größer")
        case "json":
            req.json()
            return "json"
        case "check_status":
            target = text(req, "target")
            answer = req.call(target, req.body, metadata=to("http_error"))
            answer.raise_for_status()
            return bytes(answer)
        case "relay_status":
            return str((req.call(text(req, "target"), req.body, metadata=to("status"))).status)
        case "origin":
            return "external" if req.caller is None else f"internal {req.caller}"
        case "function":
            return req.function
        case "id":
            return req.id
        case "deadline":
            assert req.time_left is not None
            return str(int(req.time_left * 1000))
        case "path":
            return "".join(text(req, name) + "\n" for name in (":method", ":path", ":query"))
        case "crash":
            os._exit(3)
        case "wait_for_cancel":
            print(f"waiting {req.text()}")
            while not req.cancelled:
                time.sleep(0.001)
            at = time.monotonic_ns()
            print(f"cancelled {req.text()}: {req.cancel_reason}")
            print(f"noticed {req.text()} at {at}")
            return None
        case "later":
            # The values are read here, because the thread may run after the request has ended.
            ms = req.metadata.get("timeout-ms")
            asked = (
                text(req, "target"),
                req.body,
                to(text(req, "to")),
                int(ms) / 1000 if ms else None,
            )
            threading.Thread(target=later, args=asked).start()
            return "begun"
        case "print":
            print(req.text())
            return "printed"
        case "log":
            req.log(req.text())
            return "logged"
        case "twice":
            print("twice: none")
            return req.body
        case _:
            raise nightcore.FunctionFailed(f'no case "{case}"')


def later(target: str, body: bytes, metadata: Any, timeout: float | None) -> None:
    try:
        ended = nightcore.call(target, body, metadata=metadata, timeout=timeout).text()
    except nightcore.Error as error:
        ended = error.status
    print(f"later {body.decode()}: {ended}")


def text(req: Request, name: str) -> str:
    return req.metadata.get(name, "")


def to(case: str) -> list[tuple[str, str | bytes]]:
    return [("case", case)]


def own(metadata: nightcore.Metadata) -> list[tuple[str, str | bytes]]:
    """Returns the pairs whose name begins with x-."""
    return [(name, value) for name, value in metadata.raw if name.startswith("x-")]


def catch(req: Request) -> str | bytes:
    ms = req.metadata.get("timeout-ms")
    try:
        answer = req.call(
            text(req, "target"),
            req.body,
            metadata=to(text(req, "to")),
            timeout=int(ms) / 1000 if ms else None,
        )
    except nightcore.Error as error:
        causes = "".join(f"\n{cause.function} {cause.status}" for cause in error.causes)
        return f"{error.status}\n{error.function}\n{error.message}{causes}"
    return b"OK\n" + answer


kept: Request | None = None


def mistake(req: Request) -> str:
    global kept
    before, kept = kept or req, req
    pairs = to("echo")
    if "name" in req.metadata:
        pairs.append((text(req, "name"), b"v" * int(text(req, "value"))))
    ms = req.metadata.get("timeout-ms")
    body = bytes(int(req.metadata.get("size", "0")))
    call = {"request": req.call, "process": nightcore.call, "ended": before.call}[text(req, "by")]
    try:
        call(text(req, "target"), body, metadata=pairs, timeout=int(ms) / 1000 if ms else None)
    except nightcore.Error as error:
        return error.status
    return "OK"


def fan_out(req: Request) -> bytes:
    target, case = text(req, "target"), to(text(req, "to"))
    calls = [req.start(target, str(i), metadata=case) for i in range(int(req.body))]
    return b"".join(call.result() + b";" for call in calls)


def chain(req: Request) -> bytes:
    route = text(req, "route")
    if not route:
        return req.body
    following, _, rest = route.partition(",")
    last = text(req, "to")
    case = last if last and not rest else "chain"
    body = b"%s>%s" % (req.body, req.function.encode())
    return bytes(req.call(following, body, metadata=[*to(case), ("route", rest), ("to", last)]))


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answers with the values that a WSGI app receives for a request."""
    parts = [
        environ[name] for name in ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING")
    ]
    parts += [environ.get("HTTP_X_VALUE", ""), environ["CONTENT_LENGTH"]]
    start_response("200 OK", [("content-type", "text/plain")])
    return ["\n".join(parts).encode("latin-1")]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: worker NAME")
    if sys.argv[1].startswith("App"):
        nightcore.serve(nightcore.wsgi(app))
        sys.exit()
    nightcore.function(sys.argv[1])(handle)
    nightcore.serve()
