"""Tests of handlers and of apps, without an engine.

::

    def test_foo() -> None:
        def call(call: testing.Call) -> bytes:
            assert (call.function, call.body) == ("Bar", b"Hello, World")
            return b"From function Bar"

        assert testing.run(foo, b"Hello", call=call) == b"From function Bar"
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, overload

from . import _current
from ._answer import Answer
from ._errors import Error, FunctionFailed, NotFound
from ._http_errors import HttpError
from ._log import NO_CALL
from ._metadata import Metadata, Pairs, encode
from ._reply import Body, Returned, encode_body, encode_returned, reply_of_error
from ._request import AsyncRequest, Request
from ._serve import AsyncHandler, Handler, is_async

__all__ = ["Call", "Calls", "SetRequest", "run", "run_async", "set_request"]


@dataclass(frozen=True)
class Call:
    """A call that a handler under test makes."""

    function: str
    """The name of the called function."""
    body: bytes
    metadata: Metadata
    timeout: float | None
    """Seconds."""


Calls = Callable[[Call], Returned | Awaitable[Returned]]
"""Answers the calls of a handler or an app under test.

It returns what a handler may return. An :class:`Error` that it raises fails the call. It may be a
coroutine function if the handler is one.
"""

_Encoded = list[tuple[str, bytes]] | None


@dataclass
class _Fake:
    """The test's side of a request, in place of the library's."""

    body: bytes
    function: str
    caller: str | None
    pairs: Pairs | None
    left: float | None
    is_cancelled: bool
    on_call: Calls | None
    id: str = NO_CALL
    ended: dict[int, tuple[bool, Any]] = field(default_factory=dict[int, tuple[bool, Any]])

    def metadata(self) -> list[tuple[str, bytes]]:
        return encode(self.pairs) or []

    def time_left(self) -> float | None:
        return self.left

    def cancelled(self) -> bool:
        return self.is_cancelled

    def cancel_reason(self) -> str | None:
        return "CANCELLED" if self.is_cancelled else None

    def answer(self, name: str, body: bytes, timeout: float | None, pairs: _Encoded) -> Any:
        if self.on_call is None:
            raise NotFound(f'there is no function "{name}"', function=name)
        return self.on_call(Call(name, body, Metadata._of_raw(pairs or []), timeout))


@contextmanager
def _as_callee(name: str) -> Iterator[None]:
    """Turn an exception of a test double into the failure of the function that it replaces."""
    try:
        yield
    except (Error, HttpError):
        raise
    except Exception as error:
        raise FunctionFailed(str(error), function=name) from error


class _Plain(_Fake):
    def call(self, name: str, body: bytes, timeout: float | None, pairs: _Encoded) -> Answer:
        try:
            with _as_callee(name):
                returned = self.answer(name, body, timeout, pairs)
            return _made(returned)
        except HttpError as error:
            return _made(reply_of_error(error))

    def start(
        self, tag: int, name: str, body: bytes, timeout: float | None, pairs: _Encoded
    ) -> None:
        try:
            self.ended[tag] = True, self.call(name, body, timeout, pairs)
        except Error as error:
            self.ended[tag] = False, error

    def next_answer(self) -> tuple[int, bool, Any]:
        tag = next(iter(self.ended))
        return (tag, *self.ended.pop(tag))


class _Async(_Fake):
    async def call(self, name: str, body: bytes, timeout: float | None, pairs: _Encoded) -> Answer:
        try:
            with _as_callee(name):
                returned = self.answer(name, body, timeout, pairs)
                if inspect.isawaitable(returned):
                    returned = await returned
            return _made(returned)
        except HttpError as error:
            return _made(reply_of_error(error))


def _made(returned: Any) -> Answer:
    body, pairs = encode_returned(returned)
    answer = Answer(body)
    if pairs:
        answer._pairs = pairs
    return answer


def run(
    handler: Handler | AsyncHandler,
    body: Body = b"",
    *,
    call: Calls | None = None,
    function: str = "Test",
    caller: str | None = None,
    metadata: Pairs | None = None,
    time_left: float | None = None,
    cancelled: bool = False,
) -> Answer:
    """Run a handler, a plain function or a coroutine function, and return its answer.

    ``call`` answers the calls of the handler; without it each of them fails with
    :class:`NotFound`. ``time_left`` is in seconds and does not decrease. An exception of the
    handler is raised, except :class:`HttpError`, which is an answer.
    """
    told = (encode_body(body), function, caller, metadata, time_left, cancelled, call)
    if is_async(handler):
        return asyncio.run(_run_async(handler, _Async(*told)))
    request = Request(_Plain(*told))
    token = _current.current.set(request)
    try:
        return _made(handler(request))  # type: ignore[arg-type]
    except HttpError as error:
        return _made(reply_of_error(error))
    finally:
        _current.current.reset(token)


async def run_async(
    handler: AsyncHandler,
    body: Body = b"",
    *,
    call: Calls | None = None,
    function: str = "Test",
    caller: str | None = None,
    metadata: Pairs | None = None,
    time_left: float | None = None,
    cancelled: bool = False,
) -> Answer:
    """Run a coroutine function as :func:`run` does, in a test that is a coroutine itself."""
    told = (encode_body(body), function, caller, metadata, time_left, cancelled, call)
    return await _run_async(handler, _Async(*told))


async def _run_async(handler: Any, fake: _Async) -> Answer:
    request = AsyncRequest(fake)
    token = _current.current.set(request)
    try:
        return _made(await handler(request))
    except HttpError as error:
        return _made(reply_of_error(error))
    finally:
        _current.current.reset(token)


_R = TypeVar("_R", Request, AsyncRequest)


class SetRequest(Protocol):
    """The fixture ``nightcore_request``: it takes the arguments of :func:`set_request`."""

    @overload
    def __call__(
        self,
        *,
        call: Calls | None = None,
        function: str = "Test",
        caller: str | None = None,
        metadata: Pairs | None = None,
        time_left: float | None = None,
    ) -> AsyncRequest: ...
    @overload
    def __call__(
        self,
        kind: type[_R],
        *,
        call: Calls | None = None,
        function: str = "Test",
        caller: str | None = None,
        metadata: Pairs | None = None,
        time_left: float | None = None,
    ) -> _R: ...


@contextmanager
def set_request(
    kind: type[Request | AsyncRequest] = AsyncRequest,
    *,
    call: Calls | None = None,
    function: str = "Test",
    caller: str | None = None,
    metadata: Pairs | None = None,
    time_left: float | None = None,
) -> Iterator[Any]:
    """Make :func:`nightcore.current_request` find a request until the end of the block::

        with testing.set_request(call=call):
            response = TestClient(app).get("/hello/Ada")

    All threads find it, so that an app under test does in whatever thread its test client runs it.
    ``kind`` is :class:`AsyncRequest`, as ASGI apps have it, or :class:`Request`, as WSGI apps have
    it. The other arguments are those of :func:`run`. With pytest the fixture ``nightcore_request``
    does the same until the end of the test.
    """
    told = (b"", function, caller, metadata, time_left, False, call)
    before = _current.under_test
    _current.under_test = Request(_Plain(*told)) if kind is Request else AsyncRequest(_Async(*told))
    try:
        yield _current.under_test
    finally:
        _current.under_test = before
