"""Functions of Nightcore in Python.

::

    import nightcore

    @nightcore.function
    async def Foo(req: nightcore.AsyncRequest) -> bytes:
        return await req.call("Bar", req.body + b", World")

    if __name__ == "__main__":
        nightcore.serve()
"""

import warnings
from typing import TYPE_CHECKING, Any

from . import testing
from ._answer import Answer
from ._asgi import asgi
from ._current import current_request
from ._errors import (
    Cancelled,
    Cause,
    ContainerDied,
    DeadlineExceeded,
    DepthExceeded,
    Error,
    FunctionFailed,
    InvalidArgument,
    InvalidState,
    NotFound,
    Overloaded,
    PayloadTooLarge,
    Unavailable,
)
from ._http_errors import HttpError, HttpStatusError
from ._life import on_start, on_stop
from ._logging import LogHandler
from ._metadata import Metadata
from ._nightcore import VERSION
from ._process import call, call_async
from ._reply import Reply
from ._request import AsyncRequest, Pending, Request
from ._serve import function, serve
from ._wsgi import wsgi

__version__ = VERSION

__all__ = [
    "Answer",
    "AsyncRequest",
    "Cancelled",
    "Cause",
    "ContainerDied",
    "DeadlineExceeded",
    "DepthExceeded",
    "Error",
    "FunctionFailed",
    "HttpError",
    "HttpStatusError",
    "InvalidArgument",
    "InvalidState",
    "LogHandler",
    "Metadata",
    "NotFound",
    "Overloaded",
    "PayloadTooLarge",
    "Pending",
    "Reply",
    "Request",
    "Unavailable",
    "__version__",
    "asgi",
    "call",
    "call_async",
    "current_request",
    "function",
    "on_start",
    "on_stop",
    "serve",
    "testing",
    "wsgi",
]

if TYPE_CHECKING:
    Response = Reply
    """Deprecated: the old name of :class:`Reply`."""
else:

    def __getattr__(name: str) -> Any:
        if name != "Response":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        text = "nightcore.Response is now nightcore.Reply; the old name will go in a later release"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return Reply
