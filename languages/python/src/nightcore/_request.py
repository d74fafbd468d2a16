"""Requests as handlers see them."""

from __future__ import annotations

import json as _json
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ._answer import Answer, named
from ._http_errors import HttpError
from ._log import write
from ._metadata import Metadata, Pairs
from ._reply import NO_JSON, Body, encode_call

if TYPE_CHECKING:
    from collections.abc import Awaitable

    _Encoded = list[tuple[str, bytes]] | None


class _Input(Protocol):
    """The library's side of a request, or a test's."""

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
    """Makes the calls of a plain function."""

    def call(self, name: str, body: bytes, timeout: float | None, pairs: _Encoded) -> Answer: ...
    def start(
        self, tag: int, name: str, body: bytes, timeout: float | None, pairs: _Encoded
    ) -> None: ...
    def next_answer(self) -> tuple[int, bool, Any]: ...


class AsyncHost(_Input, Protocol):
    """Makes the calls of a coroutine."""

    def call(
        self, name: str, body: bytes, timeout: float | None, pairs: _Encoded
    ) -> Awaitable[Answer]: ...


_H = TypeVar("_H", bound=_Input)
_BAD_REQUEST = 400


class _InvalidBody(HttpError, ValueError):
    """A client sent a body that cannot be decoded. A ``ValueError``, as a decoder raises."""

    def __init__(self, text: str) -> None:
        super().__init__(_BAD_REQUEST, text)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.body,)


class BaseRequest(Generic[_H]):
    """The common part of requests of both kinds."""

    __slots__ = ("_host", "_metadata")

    _host: _H
    _metadata: Metadata | None

    @property
    def body(self) -> bytes:
        """The body."""
        return self._host.body

    def json(self) -> Any:
        """Decode the body as JSON.

        Raises a ``ValueError`` if it is not JSON. If a client sent it, the error is an
        :class:`HttpError` as well: unless the handler catches it, the reply has the HTTP status
        400. If a function sent it, the handler fails.
        """
        try:
            return _json.loads(self._host.body)
        except (ValueError, RecursionError) as error:
            if self.caller is not None:
                raise
            raise _InvalidBody(f"the body of the request is not JSON: {error}") from error

    def text(self) -> str:
        """Decode the body as UTF-8.

        Raises a ``ValueError`` if it is not UTF-8. If a client sent it, the error is an
        :class:`HttpError` as well: unless the handler catches it, the reply has the HTTP status
        400. If a function sent it, the handler fails.
        """
        try:
            return self._host.body.decode()
        except UnicodeDecodeError as error:
            if self.caller is not None:
                raise
            raise _InvalidBody(f"the body of the request is not UTF-8: {error}") from error

    @property
    def function(self) -> str:
        """The name of the called function."""
        return self._host.function

    @property
    def caller(self) -> str | None:
        """The name of the calling function; ``None`` if a client called by the gateway."""
        return self._host.caller

    @property
    def id(self) -> str:
        """The call id: 16 hexadecimal digits. All calls below this one have the same id.

        The client gets it in the header ``X-Nightcore-Call``.
        """
        return self._host.id

    def log(self, text: str) -> None:
        """Write text to the function's log, by standard error. Each line has the call id."""
        write(self._host.id, text)

    @property
    def metadata(self) -> Metadata:
        """The metadata. A request over HTTP has its method, path, query and headers here."""
        if self._metadata is None:
            self._metadata = Metadata._of_raw(self._host.metadata())
        return self._metadata

    @property
    def time_left(self) -> float | None:
        """Seconds until the deadline; ``None`` if there is no deadline."""
        return self._host.time_left()

    @property
    def cancelled(self) -> bool:
        """Whether the request is cancelled: its caller has left, or its deadline has passed."""
        return self._host.cancelled()

    @property
    def cancel_reason(self) -> str | None:
        """Why the request is cancelled: ``"DEADLINE_EXCEEDED"`` if its deadline has passed,
        ``"CANCELLED"`` if its caller has left; ``None`` if it is not cancelled."""
        return self._host.cancel_reason()


class Request(BaseRequest[Host]):
    """A request that a plain function handles, on a thread of its own.

    Only that thread may make calls.
    """

    __slots__ = ("_pending",)

    _pending: dict[int, Pending]

    def __init__(self, host: Host) -> None:
        self._host = host
        self._metadata = None
        self._pending = {}

    def call(
        self,
        name: str,
        body: Body = b"",
        *,
        json: Any = NO_JSON,
        timeout: float | None = None,
        metadata: Pairs | None = None,
    ) -> Answer:
        """Call a function and wait for its answer.

        The body is ``body``, or ``json`` as JSON, with ``content-type: application/json`` unless
        ``metadata`` have a content type. ``timeout`` is in seconds and can only shorten
        the deadline of the request. Other threads of this process run while this one waits.
        Raises an :class:`Error` if the call fails.
        """
        sent, pairs = encode_call(body, json, metadata)
        return named(self._host.call(name, sent, timeout, pairs), name)

    def start(
        self,
        name: str,
        body: Body = b"",
        *,
        json: Any = NO_JSON,
        timeout: float | None = None,
        metadata: Pairs | None = None,
    ) -> Pending:
        """Start a call without waiting, so that several calls run at once.

        Takes the arguments of :meth:`call`. Calls that are still running when the handler returns
        are cancelled.
        """
        tag = len(self._pending)
        sent, pairs = encode_call(body, json, metadata)
        self._host.start(tag, name, sent, timeout, pairs)
        self._pending[tag] = pending = Pending(self, name)
        return pending

    def _wait(self, pending: Pending) -> None:
        while not pending.done:
            tag, answered, what = self._host.next_answer()
            self._pending[tag]._end(answered, what)


class Pending:
    """A running call. :meth:`Request.start` starts it."""

    __slots__ = ("_answer", "_error", "_name", "_request")

    def __init__(self, request: Request, name: str) -> None:
        self._request = request
        self._name = name
        self._answer: Answer | None = None
        self._error: BaseException | None = None

    @property
    def done(self) -> bool:
        """Whether :meth:`result` returns or raises without waiting."""
        return self._answer is not None or self._error is not None

    def result(self) -> Answer:
        """Wait for the answer, on the thread of the handler.

        Raises an :class:`Error` if the call failed.
        """
        self._request._wait(self)
        if self._error is not None:
            raise self._error
        assert self._answer is not None
        return self._answer

    def _end(self, answered: bool, what: Any) -> None:
        if answered:
            self._answer = named(what, self._name)
        else:
            self._error = what


class AsyncRequest(BaseRequest[AsyncHost]):
    """A request that a coroutine handles, in the event loop."""

    __slots__ = ()

    def __init__(self, host: AsyncHost) -> None:
        self._host = host
        self._metadata = None

    async def call(
        self,
        name: str,
        body: Body = b"",
        *,
        json: Any = NO_JSON,
        timeout: float | None = None,
        metadata: Pairs | None = None,
    ) -> Answer:
        """Call a function and wait for its answer.

        The body is ``body``, or ``json`` as JSON, with ``content-type: application/json`` unless
        ``metadata`` have a content type. ``timeout`` is in seconds and can only shorten
        the deadline of the request. If the task of the call is cancelled, so is the call, with all
        calls below it. Raises an :class:`Error` if the call fails.
        """
        sent, pairs = encode_call(body, json, metadata)
        return named(await self._host.call(name, sent, timeout, pairs), name)
