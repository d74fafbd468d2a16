"""Calling handlers without an engine, for their tests.

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
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from ._answer import Answer, Returned, encode_body, encode_returned
from ._current import current
from ._errors import Error, FunctionFailed, NotFound
from ._log import NO_CALL
from ._metadata import Metadata, Pairs, encode
from ._request import AsyncRequest, Request
from ._serve import AsyncHandler, Handler, is_async

__all__ = ["Call", "FakeRequest", "run", "run_async"]


@dataclass(frozen=True)
class Call:
    """A call that the handler makes of another function."""

    function: str
    body: bytes
    metadata: Metadata
    timeout: float | None
    """Seconds."""


Calls = Callable[[Call], Returned | Awaitable[Returned]]


@dataclass
class FakeRequest:
    """What a test says of a request."""

    body: bytes = b""
    function: str = "Test"
    caller: str | None = None
    pairs: Pairs | None = None
    left: float | None = None
    """Seconds until the deadline, which does not pass."""
    is_cancelled: bool = False
    on_call: Calls | None = None
    id: str = NO_CALL
    """The id of the call."""
    _ended: dict[int, tuple[bool, Any]] = field(default_factory=dict)

    def metadata(self) -> list[tuple[str, bytes]]:
        """As the library gives them."""
        return encode(self.pairs) or []

    def time_left(self) -> float | None:
        """Until the deadline."""
        return self.left

    def cancelled(self) -> bool:
        """Whether nobody waits."""
        return self.is_cancelled

    def cancel_reason(self) -> str | None:
        """Why nobody waits: in a test, the caller has left."""
        return "CANCELLED" if self.is_cancelled else None

    def _answer(self, name: str, body: bytes, timeout: float | None, pairs: list[tuple[str, bytes]] | None) -> Any:
        if self.on_call is None:
            raise NotFound(f'there is no function "{name}"', function=name)
        try:
            return self.on_call(Call(name, body, Metadata.of_raw(pairs or []), timeout))
        except Error:
            raise
        except Exception as error:
            raise FunctionFailed(str(error), function=name) from error


class _Plain(FakeRequest):
    def call(self, name: str, body: bytes, timeout: float | None, pairs: list[tuple[str, bytes]] | None) -> Answer:
        return _made(self._answer(name, body, timeout, pairs))

    def start(
        self, tag: int, name: str, body: bytes, timeout: float | None, pairs: list[tuple[str, bytes]] | None
    ) -> None:
        try:
            self._ended[tag] = True, self.call(name, body, timeout, pairs)
        except Error as error:
            self._ended[tag] = False, error

    def next_answer(self) -> tuple[int, bool, Any]:
        tag = next(iter(self._ended))
        return (tag, *self._ended.pop(tag))


class _Async(FakeRequest):
    async def call(
        self, name: str, body: bytes, timeout: float | None, pairs: list[tuple[str, bytes]] | None
    ) -> Answer:
        returned = self._answer(name, body, timeout, pairs)
        if inspect.isawaitable(returned):
            returned = await returned
        return _made(returned)


def _made(returned: Any) -> Answer:
    body, pairs = encode_returned(returned)
    answer = Answer(body)
    if pairs:
        answer._pairs = pairs
    return answer


def run(
    handler: Handler | AsyncHandler,
    body: bytes | str = b"",
    *,
    call: Calls | None = None,
    function: str = "Test",
    caller: str | None = None,
    metadata: Pairs | None = None,
    time_left: float | None = None,
    cancelled: bool = False,
) -> Answer:
    """Call a handler, a plain function or a coroutine, and return its answer.

    ``call`` answers its calls: what it returns is the answer, an :class:`Error` it raises is the callee's. Without it
    there are no functions. An exception of the handler is the test's.
    """
    told = (encode_body(body), function, caller, metadata, time_left, cancelled, call)
    if is_async(handler):
        return asyncio.run(_run_async(handler, _Async(*told)))
    request = Request(_Plain(*told))
    token = current.set(request)
    try:
        return _made(handler(request))  # type: ignore[arg-type]
    finally:
        current.reset(token)


async def run_async(
    handler: AsyncHandler,
    body: bytes | str = b"",
    *,
    call: Calls | None = None,
    function: str = "Test",
    caller: str | None = None,
    metadata: Pairs | None = None,
    time_left: float | None = None,
    cancelled: bool = False,
) -> Answer:
    """As :func:`run`, for a test that is a coroutine itself; ``call`` may be one, too."""
    told = (encode_body(body), function, caller, metadata, time_left, cancelled, call)
    return await _run_async(handler, _Async(*told))


async def _run_async(handler: Any, fake: _Async) -> Answer:
    request = AsyncRequest(fake)
    token = current.set(request)
    try:
        return _made(await handler(request))
    finally:
        current.reset(token)
