"""What ASGI and WSGI apps share: the target of a request."""

from __future__ import annotations

import re

from ._answer import Response

_MALFORMED = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def refusal(path: bytes) -> Response | None:
    """The answer to a request whose path is malformed; ``None`` if it is not. That is the client's mistake."""
    if _MALFORMED.search(path) is None:
        return None
    text = "the path of the request is malformed: % is followed by two hexadecimal digits\n"
    return Response(text, 400, {"content-type": "text/plain; charset=utf-8"})
