"""Calls outside of any request."""

from __future__ import annotations

import asyncio
import atexit
from typing import Any

from . import _nightcore
from ._answer import Answer, named
from ._errors import InvalidState
from ._metadata import Pairs
from ._reply import NO_JSON, Body, encode_call

atexit.register(_nightcore.end_process_calls)


def call(
    name: str,
    body: Body = b"",
    *,
    json: Any = NO_JSON,
    timeout: float | None = None,
    metadata: Pairs | None = None,
) -> Answer:
    """Call a function outside of any request, from any thread, and wait for its answer::

        threading.Thread(target=lambda: nightcore.call("SendMail", receipt)).start()

    The call belongs to no request, so the end of a request does not cancel it. Its deadline is the
    timeout of the called function, or ``timeout`` seconds if that is less. Raises an
    :class:`Error` if the call fails, and ``InvalidState`` if this process does not serve yet. In
    an event loop await :func:`call_async` instead.
    """
    if _runs_in_loop():
        raise InvalidState(
            "this call would stop the event loop: await nightcore.call_async instead"
        )
    sent, pairs = encode_call(body, json, metadata)
    return named(_nightcore.process_call(name, sent, timeout, pairs), name)


async def call_async(
    name: str,
    body: Body = b"",
    *,
    json: Any = NO_JSON,
    timeout: float | None = None,
    metadata: Pairs | None = None,
) -> Answer:
    """Call a function outside of any request, in any event loop, as :func:`call` does on a thread.

    A call whose task is cancelled is cancelled, with all that it has called.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Answer] = loop.create_future()

    def settle(was_answered: bool, what: Any) -> None:
        if ended.done():
            return
        if was_answered:
            ended.set_result(what)
        else:
            ended.set_exception(what)

    def done(was_answered: bool, what: Any) -> None:
        try:
            loop.call_soon_threadsafe(settle, was_answered, what)
        except RuntimeError:
            return  # The loop is closed, so nobody waits.

    sent, pairs = encode_call(body, json, metadata)
    number = _nightcore.start_process_call(name, sent, timeout, pairs, done)
    try:
        return named(await ended, name)
    except asyncio.CancelledError:
        _nightcore.cancel_process_call(number)
        raise


def _runs_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
