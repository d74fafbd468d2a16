"""Answers to calls."""

from __future__ import annotations

import json as _json
import re
from collections.abc import Sequence
from typing import Any

from ._http_errors import FIRST_ERROR_STATUS, HttpStatusError
from ._metadata import Metadata

_MAX_QUOTED = 200
"""The maximum number of characters of a body that an error quotes."""
_DEFAULT_STATUS = 200
_MAX_STATUS = 0xFFFF


class Answer(bytes):
    """The answer to a call: the body, as bytes, and its metadata.

    A handler that returns an answer passes it on with its HTTP status and its metadata.
    """

    # Most answers have no metadata. They share this tuple.
    _pairs: Sequence[tuple[str, bytes]] = ()
    # The function that was called. It is set only on answers with metadata, because no other answer
    # has an HTTP status that can raise.
    _function = ""

    @property
    def status(self) -> int:
        """The HTTP status of the answer; 200 if the function set none, or one that is not a number.

        A call that was answered with any HTTP status has succeeded. :meth:`raise_for_status` raises
        an error if the status is 400 or more.
        """
        for name, value in self._pairs:
            if name == ":status":
                return _status(value)
        return _DEFAULT_STATUS

    @property
    def metadata(self) -> Metadata:
        """The metadata of the answer."""
        return Metadata._of_raw(list(self._pairs))

    def json(self) -> Any:
        """Decode the body as JSON. Raises ``ValueError`` if it is not JSON."""
        return _json.loads(self)

    def text(self) -> str:
        """Decode the body as UTF-8. Raises ``UnicodeDecodeError`` if it is not UTF-8."""
        return self.decode()

    def raise_for_status(self) -> Answer:
        """Return the answer. Raise :class:`HttpStatusError` if its HTTP status is 400 or more."""
        status = self.status
        if status < FIRST_ERROR_STATUS:
            return self
        message = f"answered with HTTP status {status}"
        if quoted := self._quoted():
            message += f": {quoted}"
        raise HttpStatusError(message, answer=self, function=self._function)

    def _quoted(self) -> str:
        """Return the beginning of the body if the body is text."""
        try:
            return self.decode()[:_MAX_QUOTED]
        except UnicodeDecodeError:
            return ""


def _status(digits: bytes) -> int:
    # The status is a number of 16 bits, as in the other languages. Leading zeros are ignored.
    found = re.fullmatch(rb"\+?0*([0-9]{1,5})", digits)
    if found is None or (status := int(found[1])) > _MAX_STATUS:
        return _DEFAULT_STATUS
    return status


def named(answer: Answer, function: str) -> Answer:
    """Note which function gave this answer."""
    if answer._pairs:
        answer._function = function
    return answer
