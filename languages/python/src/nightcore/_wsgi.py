"""WSGI apps as functions."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any
from urllib.parse import unquote_to_bytes

from ._http import refusal
from ._log import write_error
from ._reply import Reply
from ._request import Request

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None] | None
App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def wsgi(app: App) -> Callable[[Request], Reply]:
    """Make a handler of a WSGI app, for example a Flask or Django app::

        nightcore.serve(nightcore.wsgi(app))

    ``SCRIPT_NAME`` is the path that leads to the function: its route, or ``/function/NAME``. The
    app finds the request by :func:`current_request`, or as ``environ["nightcore.request"]``. A
    response is sent as a whole when it is complete, and is limited by ``max_body``. A malformed
    path is answered with 400. The client's address is unknown.
    """

    def handle(request: Request) -> Reply:
        if (
            refused := refusal(request.metadata.get(":path", "").encode(errors="surrogateescape"))
        ) is not None:
            return refused
        exchange = _Exchange(request)
        try:
            chunks = app(exchange.environ, exchange.start_response)
            try:
                for chunk in chunks:
                    exchange.write(chunk)
            finally:
                if close := getattr(chunks, "close", None):
                    close()
        except Exception as error:
            if exchange.written:
                raise
            write_error(request.id, error, error.__traceback__)
            return Reply(
                "Internal Server Error", 500, {"content-type": "text/plain; charset=utf-8"}
            )
        return exchange.response()

    handle.__name__ = getattr(app, "__name__", type(app).__name__)
    return handle


class _Exchange:
    """One request and its response."""

    def __init__(self, request: Request) -> None:
        self.written: list[bytes] = []
        self._status: int | None = None
        self._pairs: list[tuple[str, bytes]] = []
        own: dict[str, bytes] = {}
        variables: dict[str, str] = {}
        for name, value in request.metadata.raw:
            text = value.decode("latin-1")
            if name.startswith(":"):
                own[name] = value
            elif name in ("content-type", "content-length"):
                variables[name.upper().replace("-", "_")] = text
            elif "_" not in name:
                # In a variable, "-" and "_" look the same, so a name with "_" could pass for
                # another header.
                variable = "HTTP_" + name.upper().replace("-", "_")
                joint = "; " if name == "cookie" else ","
                variables[variable] = (
                    f"{variables[variable]}{joint}{text}" if variable in variables else text
                )
        host, _, port = variables.get("HTTP_HOST", "localhost").rpartition(":")
        if not (port.isascii() and port.isdigit()):
            host, port = variables.get("HTTP_HOST", "localhost"), "80"
        self.environ: dict[str, Any] = {
            "REQUEST_METHOD": own.get(":method", b"POST").decode("latin-1"),
            "SCRIPT_NAME": _path(own.get(":prefix", b"")),
            "PATH_INFO": _path(own.get(":path", b"/")),
            "QUERY_STRING": own.get(":query", b"").decode("latin-1"),
            "RAW_URI": (own.get(":prefix", b"") + own.get(":path", b"/")).decode("latin-1"),
            "SERVER_NAME": host,
            "SERVER_PORT": port,
            "SERVER_PROTOCOL": "HTTP/1.1",
            **variables,
            # A calling function may send any content-length in its metadata.
            "CONTENT_LENGTH": str(len(request.body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(request.body),
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "nightcore.request": request,
        }

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: _ExcInfo = None
    ) -> Callable[[bytes], None]:
        if exc_info is not None:
            try:
                if self.written and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._status is not None:
            raise AssertionError("start_response was called before, and this time without exc_info")
        self._status = int(status.split(" ", 1)[0])
        self._pairs = [(name.lower(), value.encode("latin-1")) for name, value in headers]
        return self.write

    def write(self, chunk: bytes) -> None:
        if self._status is None:
            raise AssertionError("the app has written before it called start_response")
        if chunk:
            self.written.append(chunk)

    def response(self) -> Reply:
        if self._status is None:
            raise AssertionError("the app has not called start_response")
        return Reply(b"".join(self.written), self._status, self._pairs)


def _path(raw: bytes) -> str:
    """Return a path in the form of WSGI: percent-decoded, and its bytes as latin-1."""
    return unquote_to_bytes(raw).decode("latin-1")
