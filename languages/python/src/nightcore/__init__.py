"""Functions of Nightcore in Python.

::

    import nightcore

    @nightcore.function
    async def Foo(req: nightcore.AsyncRequest) -> bytes:
        return await req.call("Bar", req.body + b", World")

    if __name__ == "__main__":
        nightcore.serve()
"""

from . import testing
from ._answer import Answer, Response
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
from ._life import on_start, on_stop
from ._logging import LogHandler
from ._metadata import Metadata
from ._nightcore import VERSION
from ._process import call, call_async
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
    "InvalidArgument",
    "InvalidState",
    "LogHandler",
    "Metadata",
    "NotFound",
    "Overloaded",
    "PayloadTooLarge",
    "Pending",
    "Request",
    "Response",
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
