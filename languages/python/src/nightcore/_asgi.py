"""ASGI apps as functions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

from ._http import refusal
from ._log import NO_CALL, write, write_error
from ._reply import Reply
from ._request import AsyncRequest

Message = MutableMapping[str, Any]
App = Callable[
    [Any, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


class Asgi:
    """The handler that :func:`asgi` makes."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._state: dict[str, Any] = {}
        self._lifespan: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._said: asyncio.Queue[Message] = asyncio.Queue()

    async def __call__(self, request: AsyncRequest) -> Reply:
        """Run the app for a request."""
        if (
            refused := refusal(request.metadata.get(":path", "").encode(errors="surrogateescape"))
        ) is not None:
            return refused
        exchange = _Exchange(request, self._state)
        # The caller does not wait for work after the response, such as background tasks.
        running = asyncio.ensure_future(self._run(exchange))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        running.add_done_callback(exchange.returned)
        try:
            await exchange.complete
        except asyncio.CancelledError:
            exchange.left.set()
            running.cancel()
            raise
        return exchange.response()

    async def _run(self, exchange: _Exchange) -> None:
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
        except (SystemExit, KeyboardInterrupt) as error:
            # If a task raised one of these exceptions, the exception would end the event loop, and
            # with the loop all other requests.
            raise RuntimeError(f"the app has raised {type(error).__name__}") from error

    async def startup(self) -> None:
        """Start the app's lifespan and wait until it has started. An app may have no lifespan."""
        self._events, self._said = asyncio.Queue(), asyncio.Queue()
        self._lifespan = asyncio.create_task(self._live())
        await self._events.put({"type": "lifespan.startup"})
        said = await self._said.get()
        if said["type"] == "lifespan.startup.failed":
            raise SystemExit(f"nightcore: the app's startup failed: {said.get('message', '')}")

    async def shutdown(self) -> None:
        """End the app's lifespan and wait until it has ended."""
        if self._lifespan is None or self._lifespan.done():
            return
        await self._events.put({"type": "lifespan.shutdown"})
        said = await self._said.get()
        if said["type"] == "lifespan.shutdown.failed":
            write(NO_CALL, f"nightcore: the app's shutdown failed: {said.get('message', '')}")
        await self._lifespan

    async def _live(self) -> None:
        scope = {"type": "lifespan", "asgi": _VERSIONS, "state": self._state}
        was_told = has_told_why = False

        async def receive() -> Message:
            nonlocal was_told
            event = await self._events.get()
            was_told = True
            return event

        async def send(message: Message) -> None:
            nonlocal has_told_why
            has_told_why = message["type"].endswith(".failed")
            await self._said.put(message)

        try:
            await self._app(scope, receive, send)
        except (Exception, asyncio.CancelledError) as error:
            # By the ASGI specification, an app that raises does not support the lifespan protocol.
            # If the app has received an event before, the error may be a mistake, so the error is
            # logged, unless the app has already reported a failure.
            if was_told and not has_told_why:
                write(NO_CALL, "nightcore: the app's lifespan has raised:")
                write_error(NO_CALL, error, error.__traceback__)
            await self._said.put({"type": "lifespan.unsupported"})
        else:
            await self._said.put({"type": "lifespan.ended"})


_VERSIONS = {"version": "3.0", "spec_version": "2.4"}


class _Exchange:
    """One request and its response."""

    def __init__(self, request: AsyncRequest, state: dict[str, Any]) -> None:
        self.complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.left = asyncio.Event()
        self._request = request
        self._started = False
        self._status = 200
        self._pairs: list[tuple[str, bytes]] = []
        self._body: list[bytes] = []
        self._input: bytes | None = request.body
        own: dict[str, bytes] = {}
        headers: list[tuple[bytes, bytes]] = []
        for name, value in request.metadata.raw:
            if name.startswith(":"):
                own[name] = value
            else:
                headers.append((name.encode(), value))
        prefix, path = own.get(":prefix", b""), own.get(":path", b"/")
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": _VERSIONS,
            "http_version": "1.1",
            "method": own.get(":method", b"POST").decode("latin-1"),
            "scheme": "http",
            "path": _path(prefix) + _path(path),
            "raw_path": prefix + path,
            "query_string": own.get(":query", b""),
            "root_path": _path(prefix),
            "headers": headers,
            "client": None,
            "server": _server(headers),
            "state": state.copy(),
            "extensions": {"nightcore": {"request": request}},
        }

    async def receive(self) -> Message:
        if self._input is not None:
            body, self._input = self._input, None
            return {"type": "http.request", "body": body, "more_body": False}
        if not self.complete.done():
            await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            if self._started:
                raise RuntimeError("the app has started its response twice")
            self._started = True
            self._status = message["status"]
            self._pairs = [
                (name.decode("latin-1").lower(), value)
                for name, value in message.get("headers", ())
            ]
        elif kind == "http.response.body":
            if not self._started:
                raise RuntimeError("the app has sent a body before the start of its response")
            if self.complete.done():
                return
            self._body.append(message.get("body", b""))
            if not message.get("more_body", False):
                self.complete.set_result(None)
                self.left.set()
        elif kind.startswith("websocket."):
            raise RuntimeError("websockets are not supported, because an answer is one message")
        else:
            raise RuntimeError(f"Nightcore does not support the ASGI message {kind}")

    def returned(self, running: asyncio.Future[None]) -> None:
        """Handle the end of the app, which has returned or raised."""
        error = None if running.cancelled() else running.exception()
        if error is not None and (self.complete.done() or not self._started):
            # This error does not fail the call, so it is logged here. Any other error of the app
            # fails the call, and is reported as the call's failure.
            write_error(self._request.id, error, error.__traceback__)
        if self.complete.done():
            return
        if error is not None and not self._started:
            self._status, self._pairs = 500, [("content-type", b"text/plain; charset=utf-8")]
            self._body = [b"Internal Server Error"]
            self.complete.set_result(None)
        else:
            self.complete.set_exception(
                error or RuntimeError("the app has returned without a whole response")
            )

    def response(self) -> Reply:
        """Return the response that the app has sent."""
        return Reply(b"".join(self._body), self._status, self._pairs)


def _path(raw: bytes) -> str:
    return unquote_to_bytes(raw).decode(errors="replace")


def _server(headers: list[tuple[bytes, bytes]]) -> tuple[str, int | None] | None:
    host = next((value.decode("latin-1") for name, value in headers if name == b"host"), None)
    if host is None:
        return None
    name, colon, port = host.rpartition(":")
    # isdigit alone accepts more characters than int does.
    return (name, int(port)) if colon and port.isascii() and port.isdigit() else (host, 80)


def asgi(app: App) -> Asgi:
    """Make a handler from an ASGI app, for example a FastAPI, Starlette or Django app::

        nightcore.serve(nightcore.asgi(app))

    The ``root_path`` is the path that leads to the function: its route, or ``/function/NAME``.
    The app gets the request from :func:`current_request`, or as
    ``scope["extensions"]["nightcore"]["request"]``. A response is sent as a whole when it is
    complete, and is limited by ``max_body``. Websockets are not supported: an upgrade request is
    handled as a plain request. A malformed path is answered with 400. The ``client`` of the scope
    is None, because the client's address is unknown.
    """
    return Asgi(app)
