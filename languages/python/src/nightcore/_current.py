"""The request for which the current code runs."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ._request import AsyncRequest, Request

if TYPE_CHECKING:
    from collections.abc import Generator

    from ._answer import Answer
    from ._metadata import Pairs
    from ._reply import Body
    from ._request import BaseRequest

    class CallResult(Answer):
        """For type checkers only: an answer in a plain function; in a coroutine it is awaited."""

        def __await__(self) -> Generator[Any, None, Answer]: ...

    class CurrentRequest(BaseRequest[Any]):
        """For type checkers only: a request of either kind."""

        def call(
            self,
            name: str,
            body: Body = b"",
            *,
            json: Any = ...,
            timeout: float | None = None,
            metadata: Pairs | None = None,
        ) -> CallResult: ...


current: contextvars.ContextVar[Request | AsyncRequest] = contextvars.ContextVar(
    "nightcore_request"
)

under_test: Request | AsyncRequest | None = None
"""The request that a test has set for all threads."""

_R = TypeVar("_R", Request, AsyncRequest)


@overload
def current_request() -> CurrentRequest: ...
@overload
def current_request(kind: type[_R], /) -> _R: ...
def current_request(kind: type[Any] | None = None, /) -> Any:
    """Return the request that runs here, such as beneath a web framework.

    A plain function or a WSGI app has a :class:`Request`, a coroutine or an ASGI app an
    :class:`AsyncRequest`, whose calls are awaited. With ``kind``, one of these classes, a type
    checker knows which one it is.

    Raises ``LookupError`` if no request runs here, and ``TypeError`` if it is of another kind.
    """
    request = current.get(under_test)
    if request is None:
        raise LookupError("no request runs here: nightcore.call makes a call outside of requests")
    if kind is not None and not isinstance(request, kind):
        raise TypeError(
            f"the request that runs here is of {type(request).__name__}, not of {kind.__name__}"
        )
    return request
