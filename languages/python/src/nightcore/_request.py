"""Requests as handlers see them."""

from __future__ import annotations

import json as _json
from typing import TYPE_CHECKING, Any, Protocol

from ._answer import Answer, encode_body, encode_json
from ._log import write
from ._metadata import Metadata, Pairs, encode

if TYPE_CHECKING:
    from collections.abc import Awaitable


class _Input(Protocol):
    """What the library, or a test, says of a request."""

    @property
    def body(self) -> bytes: ...
    @property
    def id(self) -> str: ...
    @property
    def function(self) -> str: ...
    @property
    def caller(self) -> str | None: ...
    def metadata(self) -> list[tuple[str, bytes]]: ...
    def time_left(self) -> float | None: ...
    def cancelled(self) -> bool: ...
    def cancel_reason(self) -> str | None: ...


class Host(_Input, Protocol):
    """Who runs a plain function."""

    def call(self, name: str, body: bytes, timeout: float | None, pairs: list[tuple[str, bytes]] | None) -> Answer: ...
    def start(
        self, tag: int, name: str, body: bytes, timeout: float | None, pairs: list[tuple[str, bytes]] | None
    ) -> None: ...
    def next_answer(self) -> tuple[int, bool, Any]: ...


class AsyncHost(_Input, Protocol):
    """Who runs a coroutine."""

    def call(
        self, name: str, body: bytes, timeout: float | None, pairs: list[tuple[str, bytes]] | None
    ) -> Awaitable[Answer]: ...


class _Base:
    __slots__ = ("_host", "_metadata")

    _host: _Input
    _metadata: Metadata | None

    @property
    def body(self) -> bytes:
        """The body."""
        return self._host.body

    def json(self) -> Any:
        """The body, decoded."""
        return _json.loads(self._host.body)

    def text(self) -> str:
        """The body as text, which must be UTF-8."""
        return self._host.body.decode()

    @property
    def function(self) -> str:
        """The name that was called."""
        return self._host.function

    @property
    def caller(self) -> str | None:
        """The function that made the call; ``None`` if it came from outside, by the gateway."""
        return self._host.caller

    @property
    def id(self) -> str:
        """The id of the call, 16 hexadecimal digits, which all calls below it have as well.

        Its client has it in the header ``X-Nightcore-Call``.
        """
        return self._host.id

    def log(self, text: str) -> None:
        """Write to standard error, from where it comes to the function's log, each line with the id of the call."""
        write(self._host.id, text)

    @property
    def metadata(self) -> Metadata:
        """What came beside the body; of a request over HTTP its method, path, query and headers."""
        if self._metadata is None:
            self._metadata = Metadata.of_raw(self._host.metadata())
        return self._metadata

    @property
    def time_left(self) -> float | None:
        """Seconds until the deadline; ``None`` if there is none."""
        return self._host.time_left()

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the answer any more: the caller has left, or the deadline has passed."""
        return self._host.cancelled()

    @property
    def cancel_reason(self) -> str | None:
        """Why nobody waits any more: ``"DEADLINE_EXCEEDED"`` if the deadline has passed, ``"CANCELLED"`` if the caller
        has left; ``None`` if somebody waits."""
        return self._host.cancel_reason()


class Request(_Base):
    """A call that a plain function runs, on a thread of its own. Its calls are made on that thread."""

    __slots__ = ("_pending",)

    _host: Host
    _pending: dict[int, Pending]

    def __init__(self, host: Host) -> None:
        self._host = host
        self._metadata = None
        self._pending = {}

    def call(
        self,
        name: str,
        body: bytes | bytearray | memoryview | str = b"",
        *,
        json: Any = None,
        timeout: float | None = None,
        metadata: Pairs | None = None,
    ) -> Answer:
        """Call a function and wait for its answer.

        The body is ``body``, or ``json`` encoded. ``timeout`` is in seconds; the request's own deadline holds in any
        case. Other threads of this process go on meanwhile. Raises an :class:`Error` if there is no answer.
        """
        sent = body if type(body) is bytes and json is None else encode_call(body, json)
        return self._host.call(name, sent, timeout, encode(metadata))

    def start(
        self,
        name: str,
        body: bytes | bytearray | memoryview | str = b"",
        *,
        json: Any = None,
        timeout: float | None = None,
        metadata: Pairs | None = None,
    ) -> Pending:
        """Call a function without waiting, so that several calls run at once; takes what :meth:`call` takes.

        Calls still under way when the handler returns are cancelled.
        """
        tag = len(self._pending)
        self._host.start(tag, name, encode_call(body, json), timeout, encode(metadata))
        self._pending[tag] = pending = Pending(self)
        return pending

    def _wait(self, pending: Pending) -> None:
        while not pending.done:
            tag, answered, what = self._host.next_answer()
            self._pending[tag].end(answered, what)


class Pending:
    """A call under way, of :meth:`Request.start`."""

    __slots__ = ("_answer", "_error", "_request", "done")

    done: bool
    """Whether it is known how it has ended."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._answer: Answer | None = None
        self._error: BaseException | None = None
        self.done = False

    def result(self) -> Answer:
        """Wait for the answer, on the thread of the handler. Raises an :class:`Error` if there is none."""
        self._request._wait(self)
        if self._error is not None:
            raise self._error
        assert self._answer is not None
        return self._answer

    def end(self, answered: bool, what: Any) -> None:
        """Take how it has ended."""
        self.done = True
        if answered:
            self._answer = what
        else:
            self._error = what


class AsyncRequest(_Base):
    """A call that a coroutine runs, in the event loop."""

    __slots__ = ()

    _host: AsyncHost

    def __init__(self, host: AsyncHost) -> None:
        self._host = host
        self._metadata = None

    async def call(
        self,
        name: str,
        body: bytes | bytearray | memoryview | str = b"",
        *,
        json: Any = None,
        timeout: float | None = None,
        metadata: Pairs | None = None,
    ) -> Answer:
        """Call a function and wait for its answer.

        The body is ``body``, or ``json`` encoded. ``timeout`` is in seconds; the request's own deadline holds in any
        case. A call whose task is cancelled is cancelled, with all that it has called. Raises an :class:`Error` if
        there is no answer.
        """
        sent = body if type(body) is bytes and json is None else encode_call(body, json)
        return await self._host.call(name, sent, timeout, encode(metadata))


def encode_call(body: bytes | bytearray | memoryview | str, json: Any) -> bytes:
    """The body of a call."""
    if json is None:
        return encode_body(body)
    if body:
        raise TypeError("a call has a body or json, not both")
    return encode_json(json)
