"""Serving coroutines, in asyncio's event loop."""

from __future__ import annotations

import asyncio
from typing import Any

from . import _nightcore
from ._answer import Answer
from ._current import current
from ._errors import InvalidState
from ._life import finish_tasks, start_in_loop, stop_in_loop
from ._reply import encode_returned
from ._request import AsyncRequest
from ._serve import AsyncHandler, fail

_REQUEST, _ANSWER, _ERROR, _CANCELLED, _ENDED = 1, 2, 3, 4, 5


class _Call(asyncio.Future[Answer]):
    """The future answer of a call. Cancelling it cancels the call."""

    tag: int
    host: Host

    def cancel(self, msg: Any = None) -> bool:
        cancelled = super().cancel(msg)
        if cancelled:
            self.host.take_back(self.tag)
        return cancelled


class Host:
    """One request and its calls."""

    __slots__ = ("_raw", "_worker", "began", "body", "calls", "task")

    task: asyncio.Task[None]

    def __init__(self, worker: Worker, raw: _nightcore.WorkerRequest) -> None:
        self._worker = worker
        self._raw = raw
        self.body = raw.body
        self.began = False
        # The calls under way, by their tags.
        self.calls: dict[int, _Call] = {}

    @property
    def function(self) -> str:
        return self._raw.function

    @property
    def id(self) -> str:
        return self._raw.id

    @property
    def caller(self) -> str | None:
        return self._raw.caller

    def metadata(self) -> list[tuple[str, bytes]]:
        return self._raw.metadata()

    def time_left(self) -> float | None:
        return self._raw.time_left()

    def cancelled(self) -> bool:
        return self._raw.cancelled()

    def cancel_reason(self) -> str | None:
        return self._raw.cancel_reason()

    def call(
        self, name: str, body: bytes, timeout: float | None, pairs: list[tuple[str, bytes]] | None
    ) -> asyncio.Future[Answer]:
        worker = self._worker
        worker.last_tag = tag = worker.last_tag + 1
        self._raw.start(tag, name, body, timeout, pairs)
        worker.expect()
        call = _Call(loop=worker.loop)
        call.tag = tag
        call.host = self
        self.calls[tag] = worker.calls[tag] = call
        return call

    def answered(self, tag: int) -> None:
        """Forget a call that has ended."""
        del self.calls[tag]

    def take_back(self, tag: int) -> None:
        if self.calls.pop(tag, None) is not None:
            del self._worker.calls[tag]
            self._raw.cancel(tag)

    def end(self) -> None:
        """End the calls of a request that has its reply. The library no longer reports them."""
        for tag, call in self.calls.items():
            del self._worker.calls[tag]
            if call.done():
                continue
            call.set_exception(
                InvalidState("the request has ended: make its calls before its handler returns")
            )
        self.calls.clear()

    def reply(self, body: bytes, pairs: list[tuple[str, bytes]] | None) -> None:
        self._raw.reply(body, pairs)
        self._worker.expect()

    def fail(self, *failure: Any) -> None:
        self._raw.fail(*failure)

    def fail_unexpectedly(self, text: str) -> None:
        self._raw.fail_unexpectedly(text)


class Worker:
    """Handles events of the engine, and keeps the requests and calls under way."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, raw: _nightcore.Worker, handler: AsyncHandler
    ) -> None:
        self.loop = loop
        self.calls: dict[int, _Call] = {}
        self.last_tag = 0
        self.ended: asyncio.Future[None] = loop.create_future()
        self._raw = raw
        self._handler = handler
        self._running: dict[int, Host] = {}
        # Whether the loop will poll once more anyway, or would gain nothing by it.
        self._expects = not raw.looks

    def expect(self) -> None:
        """Poll for events once more before the loop sleeps, after all that is ready to run now.

        The events so far make handlers send messages, and the answers come soon. Polling once more
        is faster than being woken for them.
        """
        if not self._expects:
            self._expects = True
            self.loop.call_soon(self._again)

    def _again(self) -> None:
        self._expects = False
        self.drain()

    def drain(self) -> None:
        """Handle all events that have come."""
        events = self._raw.events()
        for kind, number, what in events:
            if kind == _ANSWER:
                if (call := self.calls.pop(number, None)) is not None:
                    call.host.answered(number)
                    # The future is the handler's, which may have ended it itself.
                    if not call.done():
                        call.set_result(what)
            elif kind == _REQUEST:
                host = Host(self, what)
                self._running[number] = host
                try:
                    host.task = self.loop.create_task(self._run(number, host))
                except Exception as error:
                    # The program's own task factory has raised.
                    del self._running[number]
                    fail(host, error)
            elif kind == _ERROR:
                if (call := self.calls.pop(number, None)) is not None:
                    call.host.answered(number)
                    if not call.done():
                        call.set_exception(what)
            elif kind == _CANCELLED:
                if (running := self._running.get(number)) is not None:
                    running.task.cancel(what)
                    if not running.began:
                        # Such a task never runs, so it does not reply.
                        del self._running[number]
                        running.reply(b"", None)
            elif kind == _ENDED:
                if not self.ended.done():
                    self.ended.set_result(None)
                return
        if events:
            # The loop runs this after the tasks that have something to do now.
            self.expect()

    async def _run(self, number: int, host: Host) -> None:
        host.began = True
        request = AsyncRequest(host)
        current.set(request)
        try:
            body, pairs = encode_returned(await self._handler(request))
            host.reply(body, pairs)
        except asyncio.CancelledError as error:
            # If the request is cancelled, the engine has answered the call already.
            if host.cancelled():
                host.reply(b"", None)
            else:
                fail(host, error)
        except BaseException as error:
            fail(host, error)
        finally:
            del self._running[number]
            host.end()


async def serve_in_loop(handlers: dict[str, AsyncHandler], chosen: Any) -> None:
    """Serve until the engine ends this process. ``chosen`` is the handler of its function."""
    # A process gets requests as soon as it is connected.
    await start_in_loop(chosen)
    try:
        # The process can make calls until it ends, so also in its shutdown hooks.
        raw = _nightcore.Worker(list(handlers))
        await _serve_requests(raw, handlers[raw.function])
    finally:
        await stop_in_loop(chosen)


async def _serve_requests(raw: _nightcore.Worker, handler: AsyncHandler) -> None:
    before = asyncio.all_tasks()
    loop = asyncio.get_running_loop()
    worker = Worker(loop, raw, handler)
    loop.add_reader(raw.fileno(), worker.drain)
    try:
        await worker.ended
    finally:
        loop.remove_reader(raw.fileno())
    await finish_tasks(before)


def serve_async(handlers: dict[str, Any], chosen: Any) -> None:
    """Serve in an event loop of this thread."""
    asyncio.run(serve_in_loop(handlers, chosen))
