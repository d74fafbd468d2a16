"""Code that runs before the first request of a process, and after its last one."""

from __future__ import annotations

import asyncio
import inspect
import signal
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ._current import current

Hook = Callable[[], Any]
_H = TypeVar("_H", bound=Callable[[], None] | Callable[[], Awaitable[None]])

_starts: list[Hook] = []
_stops: list[Hook] = []

_CANCELLED_WITHIN = 0.5
"""Seconds that tasks which are cut short have for their cleaning up: of the two before SIGKILL."""


def on_start(hook: _H, /) -> _H:
    """Run a function before this process gets its first request::

        @nightcore.on_start
        async def connect() -> None:
            global pool
            pool = await asyncpg.create_pool(...)

    Such functions run in the order of their registration. The process is ready when all of them
    have returned; until then a reload keeps the old processes. If one raises, the process ends,
    and the engine starts it again after a backoff. A coroutine runs in the event loop of the
    handlers, or in a loop of its own if the handler is a plain function.
    """
    _starts.append(hook)
    return hook


def on_stop(hook: _H, /) -> _H:
    """Run a function when the engine ends this process, after the last request and after the tasks
    that handlers have left running. Such functions run in the reverse order of their registration.
    """
    _stops.append(hook)
    return hook


async def start_in_loop(app: Any) -> None:
    """Run all start hooks, and the ``startup`` of ``app`` if it has one."""
    for hook in _starts:
        await _run(hook)
    if startup := getattr(app, "startup", None):
        await startup()


async def stop_in_loop(app: Any) -> None:
    """Run the ``shutdown`` of ``app`` if it has one, and all stop hooks."""
    if shutdown := getattr(app, "shutdown", None):
        await shutdown()
    for hook in reversed(_stops):
        await _run(hook)


def start_plain() -> None:
    """Run all start hooks in a process of a plain handler."""
    for hook in _starts:
        _run_plain(hook)


def stop_plain() -> None:
    """Run all stop hooks in a process of a plain handler."""
    for hook in reversed(_stops):
        _run_plain(hook)


async def _run(hook: Hook) -> None:
    returned = hook()
    if inspect.isawaitable(returned):
        await returned


def _run_plain(hook: Hook) -> None:
    if inspect.iscoroutinefunction(hook):
        asyncio.run(hook())
    else:
        hook()


async def finish_tasks(before: set[asyncio.Task[Any]]) -> None:
    """Wait for the tasks that handlers have left running. At SIGTERM, which the engine sends after
    ``stop_timeout``, cancel them. ``before`` are the tasks that no handler has started.
    """
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    _listen_for_the_end(loop, over)
    while left := _tasks_of_handlers(before):
        await asyncio.wait([*left, over], return_when=asyncio.FIRST_COMPLETED)
        if over.done():
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=_CANCELLED_WITHIN)
            return


def _listen_for_the_end(loop: asyncio.AbstractEventLoop, over: asyncio.Future[None]) -> None:
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return  # The program has its own way.

    def end() -> None:
        if not over.done():
            over.set_result(None)

    try:
        loop.add_signal_handler(signal.SIGTERM, end)
    except (NotImplementedError, RuntimeError, ValueError):
        return  # Not in the main thread, or not with this loop: SIGTERM ends the process.


def _tasks_of_handlers(before: set[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    own = asyncio.current_task()
    return [
        task for task in asyncio.all_tasks() - before if task is not own and _is_of_request(task)
    ]


def _is_of_request(task: asyncio.Task[Any]) -> bool:
    """Return whether a request was current where the task was created."""
    # Before Python 3.12 a task has no get_context.
    context = getattr(task, "get_context", None)
    return context is None or context().get(current) is not None
