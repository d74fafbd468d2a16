"""The target of a request, which ASGI and WSGI apps check alike."""

from __future__ import annotations

import re

from ._http_errors import HttpError
from ._reply import Reply, reply_of_error

_MALFORMED = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def refusal(path: bytes) -> Reply | None:
    """Return the reply to a request with a malformed path; ``None`` if the path is well formed."""
    if _MALFORMED.search(path) is None:
        return None
    text = "the path of the request is malformed: % is followed by two hexadecimal digits\n"
    return reply_of_error(HttpError(400, text))
