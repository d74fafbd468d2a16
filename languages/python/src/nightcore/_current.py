"""The request that runs here."""

from __future__ import annotations

import contextvars

from ._request import AsyncRequest, Request

current: contextvars.ContextVar[Request | AsyncRequest] = contextvars.ContextVar("nightcore_request")


def current_request() -> Request | AsyncRequest:
    """The request that is run here, such as beneath a web framework. ``LookupError`` if there is none."""
    return current.get()
