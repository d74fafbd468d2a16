"""Sends requests to an app on its own server and to the app as a function. Compares the answers.

compare.py NAME OWN_PORT OWN_BASE NIGHTCORE_PORT NIGHTCORE_BASE
"""

from __future__ import annotations

import http.client
import sys

# Headers that the server adds, not the app.
NOT_THE_APPS = {
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "server",
    "transfer-encoding",
    "x-nightcore-call",
}

JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
BINARY = {"content-type": "application/x-own"}

# Each request is a method, a path, headers and a body. A list of headers can repeat a name.
REQUESTS: list[tuple[str, str, dict[str, str] | list[tuple[str, str]], bytes]] = [
    ("GET", "/", {}, b""),
    ("HEAD", "/", {}, b""),
    ("GET", "/notes", {}, b""),
    ("POST", "/notes", JSON, b'{"text":"first","tags":["a","b"]}'),
    ("POST", "/notes", JSON, '{"text":"zweite, ü","tags":["b"]}'.encode()),
    ("POST", "/notes", JSON, b'{"text":"third"}'),
    ("POST", "/notes", JSON, b'{"text":'),
    ("POST", "/notes", {}, b""),
    ("GET", "/notes", {}, b""),
    ("GET", "/notes?tag=b", {}, b""),
    ("GET", "/notes?tag=a&tag=b", {}, b""),
    ("GET", "/notes?tag=%63", {}, b""),
    ("GET", "/notes/2", {}, b""),
    ("HEAD", "/notes/2", {}, b""),
    ("GET", "/notes/9", {}, b""),
    ("GET", "/notes/x", {}, b""),
    ("DELETE", "/notes/2", {}, b""),
    ("GET", "/notes/2", {}, b""),
    ("GET", "/", {"accept": "text/html", "user-agent": "a test"}, b""),
    ("GET", "/nowhere", {}, b""),
    ("PUT", "/notes", JSON, b"{}"),
    ("OPTIONS", "/notes", {}, b""),
    ("POST", "/login", FORM, b"name=Ada"),
    ("POST", "/login", FORM, b"name=A+%26+B"),
    ("GET", "/me", {}, b""),
    ("GET", "/me", {"cookie": "session=s3cret; name=Ada"}, b""),
    ("GET", "/inspect/", {}, b""),
    ("GET", "/inspect/plain", {}, b""),
    ("GET", "/inspect/a%20b/%C3%A4", {}, b""),
    ("GET", "/inspect/a%2Fb", {}, b""),
    ("GET", "/inspect/a//b", {}, b""),
    ("GET", "/inspect/q?x=1&y=%20&y&z=%C3%A4", {}, b""),
    ("GET", "/inspect/q?", {}, b""),
    ("GET", "/inspect/many", [("x-many", "1"), ("x-one", "2"), ("X-Many", "3, 4")], b""),
    ("POST", "/inspect-body", BINARY, b""),
    ("POST", "/inspect-body", BINARY, bytes(range(256))),
    ("PUT", "/inspect-body", BINARY, b"x" * 100_000),
    ("PATCH", "/inspect-body", {}, b"x" * 3_000_000),
    ("GET", "/inspect-body", {}, b""),
    ("GET", "/bytes/0", {}, b""),
    ("GET", "/bytes/1000", {}, b""),
    ("GET", "/bytes/200000", {}, b""),
    ("HEAD", "/bytes/1000", {}, b""),
    ("GET", "/stream", {}, b""),
    ("HEAD", "/stream", {}, b""),
    *(
        ("GET", f"/status/{code}", {}, b"")
        for code in (200, 201, 202, 302, 400, 404, 418, 500, 503)
    ),
    ("GET", "/boom", {}, b""),
    ("GET", "/notes", {}, b""),
]


def ask(
    port: int, method: str, path: str, headers: object, body: bytes
) -> tuple[int, list[tuple[str, str]], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("host", "notes.test")
    pairs = headers.items() if isinstance(headers, dict) else headers
    for name, value in pairs:  # type: ignore[attr-defined]
        connection.putheader(name, value)
    if body or method in ("POST", "PUT", "PATCH"):
        connection.putheader("content-length", str(len(body)))
    connection.endheaders(body or None)
    response = connection.getresponse()
    got = response.read()
    said = sorted((name.lower(), value) for name, value in response.getheaders())
    lengths = [value for name, value in said if name == "content-length"]
    kept = [(name, value) for name, value in said if name not in NOT_THE_APPS]
    if method == "HEAD" and lengths:
        kept.append(("content-length", lengths[0]))
    connection.close()
    return response.status, kept, got


def main() -> int:
    name, own_port, own_base, port, base = sys.argv[1:]
    wrong = 0
    for method, path, headers, body in REQUESTS:
        own = ask(int(own_port), method, own_base + path, headers, body)
        as_function = ask(int(port), method, base + path, headers, body)
        if own == as_function:
            continue
        wrong += 1
        print(f"{name}: {method} {path} {headers}: not the same")
        for which, (status, kept, got) in (("its own server", own), ("Nightcore", as_function)):
            print(f"    {which:14} {status} {kept} {got[:200]!r}")
    status, _, got = ask(
        int(port), "POST", base + "/upper", {"content-type": "text/plain"}, b"call me"
    )
    if (status, got) != (200, b"CALL ME"):
        wrong += 1
        print(f"{name}: /upper answered {status} {got[:200]!r}")
    print(f"{name}: {len(REQUESTS)} requests, {wrong or 'no'} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
