"""Registering handlers and serving them."""

from __future__ import annotations

import inspect
import os
import re
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast, overload

from . import _nightcore
from ._current import current
from ._errors import Error, to_library
from ._facts import FUNCTION_VARIABLE, NAME_PATTERN
from ._http_errors import HttpError
from ._life import start_plain, stop_plain
from ._log import write_error
from ._reply import Returned, encode_returned, reply_of_error
from ._request import AsyncRequest, Request

Handler = Callable[[Request], Returned]
AsyncHandler = Callable[[AsyncRequest], Awaitable[Returned]]
_H = TypeVar("_H", bound=Handler | AsyncHandler)

_handlers: dict[str, Any] = {}
_serving = False


@overload
def function(handler: _H, /) -> _H: ...
@overload
def function(name: str | None = None, /) -> Callable[[_H], _H]: ...
def function(handler: Any = None, /) -> Any:
    """Register a handler, under its own name or the one that is given::

        @nightcore.function
        def Foo(req: nightcore.Request) -> bytes: ...

        @nightcore.function("Bar")
        async def bar(req: nightcore.AsyncRequest) -> bytes: ...

    A plain function runs on a thread for each request, a coroutine function in one event loop. It
    returns bytes, text, ``None``, a dict or a list, which is sent as JSON, the answer to a call of
    its own, or a :class:`Reply`. An :class:`HttpError` ends the request with a reply, an
    :class:`Error` fails the call with its message. The text of any other exception goes to the
    log with the traceback, and callers get the call id by which to find it.
    """
    if callable(handler):
        name = getattr(handler, "__name__", None)
        if name is None:
            raise TypeError(
                'a handler without a name of its own needs one: nightcore.function("Name")(handler)'
            )
        register(name, handler)
        return handler

    def named(decorated: _H) -> _H:
        register(handler or decorated.__name__, decorated)
        return decorated

    return named


def register(name: str, handler: Any) -> None:
    """Register a handler under a name."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise ValueError(f"{name!r} cannot name a function: a name matches {NAME_PATTERN}")
    if not callable(handler):
        raise TypeError(
            f"the handler of {name!r} cannot be called: it is a {type(handler).__name__}"
        )
    if name in _handlers:
        raise ValueError(f"{name!r} has a handler already")
    if _serving:
        raise RuntimeError(f"{name!r} comes too late: register handlers before nightcore.serve()")
    _handlers[name] = handler


def is_async(handler: Any) -> bool:
    """Whether a handler is a coroutine function, or an object whose ``__call__`` is one."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        type(handler).__call__
    )


def serve(handler: Any = None) -> None:
    """Run the function that Nightcore started this process for, until the engine ends it.

    ``handler``, such as :func:`asgi` or :func:`wsgi` make, handles the function whatever its name.
    Call ``serve`` once, from the main thread, when all handlers are registered and the program is
    ready: requests come from then on, after the functions of :func:`on_start`. If Nightcore did
    not start this process, ``serve`` prints why it cannot serve and exits with 2.
    """
    global _serving
    if _serving:
        raise RuntimeError("this process serves already: one process hosts one function")
    if sys.platform != "linux":
        sys.exit(f"nightcore: functions run on Linux, not on {sys.platform}")
    name = os.environ.get(FUNCTION_VARIABLE, "")
    if handler is not None:
        register(name or "Function", handler)
    _serving = True
    _flush_lines()
    # If the function has no handler, the engine refuses the process and lists the names that have
    # one.
    chosen = _handlers.get(name) or next(iter(_handlers.values()), None)
    if is_async(chosen):
        from ._loop import serve_async

        serve_async(_handlers, chosen)
    else:
        _serve_threads()


def _flush_lines() -> None:
    """Flush output after each line, although standard output is a pipe."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(line_buffering=True)


def _serve_threads() -> None:
    trace = sys.gettrace() or getattr(threading, "_trace_hook", None)
    traced = threading.local()

    def run(host: Any) -> None:
        # A debugger that traces the main thread also traces handlers.
        if trace is not None and not hasattr(traced, "set"):
            traced.set = True
            sys.settrace(trace)
        run_plain(_handlers[host.function], host)

    outcome: list[BaseException] = []

    def launch() -> None:
        try:
            _nightcore.serve(list(_handlers), run)
        except BaseException as error:
            outcome.append(error)

    start_plain()
    # Python delivers signals on the main thread, so another thread serves.
    launching = threading.Thread(target=launch, name="nightcore")
    launching.start()
    launching.join()
    stop_plain()
    if outcome:
        raise outcome[0]


def run_plain(handler: Handler, host: Any) -> None:
    """Run a plain function and send its reply."""
    # Python takes the library's threads for daemons, and threads that a handler starts inherit
    # that. The end of the process would then cut off their work.
    threading.current_thread()._daemonic = False  # type: ignore[attr-defined]
    request = Request(host)
    token = current.set(request)
    try:
        body, pairs = encode_returned(handler(request))
        host.reply(body, pairs)
    except BaseException as error:
        fail(host, error)
    finally:
        current.reset(token)


def fail(host: Any, error: BaseException) -> None:
    """Fail the call with the exception that a handler has raised."""
    # The type is checked, because the error may have a property ``__class__`` that raises.
    if issubclass(type(error), HttpError):
        try:
            host.reply(*encode_returned(reply_of_error(cast("HttpError", error))))
            return
        except BaseException as failed:
            # The body or the metadata of the error cannot be sent.
            error = failed
    if not issubclass(type(error), Error):
        # The first frame of the traceback is in this module.
        write_error(host.id, error, error.__traceback__.tb_next if error.__traceback__ else None)
    told = to_library(error)
    if isinstance(told, str):
        host.fail_unexpectedly(told)
    else:
        host.fail(*told)
