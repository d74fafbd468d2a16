"""Errors with an HTTP status: one that a handler raises, and one that an answer raises."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ._errors import Cause, FunctionFailed, InvalidArgument

if TYPE_CHECKING:
    from ._answer import Answer
    from ._metadata import Pairs
    from ._reply import Replied

FIRST_STATUS = 200
FIRST_ERROR_STATUS = 400
LAST_STATUS = 599


def checked_status(status: int, first: int = FIRST_STATUS) -> int:
    """Return an HTTP status. Raises ``InvalidArgument`` unless it is one of ``first`` to 599."""
    if isinstance(status, int) and first <= status <= LAST_STATUS:
        return int(status)
    raise InvalidArgument(
        f"an HTTP status must be an integer from {first} to {LAST_STATUS}, and is {status!r}"
    )


class HttpError(Exception):
    """Ends a request with a reply of this HTTP status. A handler raises it::

        raise nightcore.HttpError(404, "no such user")

    ``status`` is an integer from 400 to 599. ``body`` is anything that a handler may reply: text,
    which is sent as ``text/plain; charset=utf-8``, bytes, or a dict or a list, which is sent as
    JSON. ``metadata`` is sent beside the body.

    The caller gets an answer, not a failed call, and nothing is written to the log. Raises
    :class:`InvalidArgument` if ``status`` is no such integer.
    """

    status: int
    """The HTTP status of the reply."""
    body: Replied
    """The body of the reply."""
    metadata: Pairs | None
    """The metadata of the reply."""

    def __init__(self, status: int, body: Replied = "", metadata: Pairs | None = None) -> None:
        super().__init__(status, body, metadata)
        self.status = checked_status(status, FIRST_ERROR_STATUS)
        self.body = body
        self.metadata = metadata

    def __str__(self) -> str:
        text = f"HTTP status {self.status}"
        return f"{text}: {self.body}" if isinstance(self.body, str) and self.body else text


class HttpStatusError(FunctionFailed):
    """A called function answered with an HTTP status of 400 or more.

    :meth:`Answer.raise_for_status` raises it. A handler that does not catch it fails as with any
    other :class:`FunctionFailed`: it does not reply with the HTTP status of the answer.
    """

    answer: Answer
    """The answer, with its HTTP status, its metadata and its body."""

    def __init__(
        self,
        message: str = "",
        *,
        answer: Answer,
        function: str = "",
        causes: tuple[Cause, ...] = (),
    ) -> None:
        super().__init__(message, function=function, causes=causes)
        self.answer = answer

    def __reduce__(self) -> tuple[Any, ...]:
        # Copying and unpickling pass positional arguments only.
        return partial(type(self), answer=self.answer), self.args, self.__dict__
