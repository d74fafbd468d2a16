"""Errors of calls."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from ._facts import INVALID_ARGUMENT, STATUS_NAMES


class Cause(NamedTuple):
    """An error of a called function that its caller passed on."""

    function: str
    """The function that failed."""
    status: str
    """The name of its status, such as ``"NOT_FOUND"``."""
    message: str
    """A description of the error, for people."""


class Error(Exception):
    """A failed call. Each subclass is one status.

    If a handler does not catch it, the call of that handler fails with :class:`FunctionFailed`,
    and ``causes`` names this error. ``DeadlineExceeded``, ``Cancelled`` and ``DepthExceeded``
    concern all calls above and are passed on unchanged.
    """

    status: ClassVar[str] = "INTERNAL"
    """The name of the error, as in the other languages and in answers over HTTP."""

    # This is a class attribute, for subclasses that do not call __init__.
    function: str = ""
    """The function that was called; empty if the error is the library's own."""
    message: str = ""
    """A description of the error, for people."""
    causes: tuple[Cause, ...] = ()
    """The errors of functions beneath that led to it, the nearest first."""

    def __init__(
        self, message: str = "", *, function: str = "", causes: tuple[Cause, ...] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.function = function
        self.causes = causes

    def __str__(self) -> str:
        text = f"{self.status}: {self.message}"
        return f"{self.function}: {text}" if self.function else text


class NotFound(Error):
    """There is no such function."""

    status = "NOT_FOUND"


class PayloadTooLarge(Error):
    """A body is over the configured limit, or metadata over 32 KiB."""

    status = "PAYLOAD_TOO_LARGE"


class FunctionFailed(Error):
    """The called function failed. A handler raises it to fail with a message for its callers.

    The text of any other exception may hold secrets. It goes to the function's log with the
    traceback, and callers get the call id by which to find it there. With ``expose_errors = true``
    callers get the text.
    """

    status = "FUNCTION_FAILED"


class ContainerDied(Error):
    """The function's process died during the call."""

    status = "CONTAINER_DIED"


class Overloaded(Error):
    """A queue or a budget is full."""

    status = "OVERLOADED"


class Unavailable(Error):
    """No process of the function is available, or the engine has gone."""

    status = "UNAVAILABLE"


class DeadlineExceeded(Error, TimeoutError):
    """The deadline has passed."""

    status = "DEADLINE_EXCEEDED"


class Cancelled(Error):
    """Nobody waits for the answer any more."""

    status = "CANCELLED"


class DepthExceeded(Error):
    """Calls are nested too deeply."""

    status = "DEPTH_EXCEEDED"


class InvalidArgument(Error, ValueError):
    """An argument cannot be used, such as a malformed name of metadata, or a timeout of 0."""

    status = "INVALID_ARGUMENT"


class InvalidState(Error):
    """The request has ended, or belongs to another thread or process."""

    status = "INVALID_STATE"


_ENDINGS: dict[str, type[Error]] = {
    kind.status: kind
    for kind in (
        NotFound,
        PayloadTooLarge,
        FunctionFailed,
        ContainerDied,
        Overloaded,
        Unavailable,
        DeadlineExceeded,
        Cancelled,
        DepthExceeded,
    )
}
_NUMBERS = {name: number for number, name in STATUS_NAMES.items()}


def from_library(
    number: int, function: str, message: str, causes: list[tuple[str, int, str]]
) -> Error:
    """Return the exception for a failure of the library."""
    otherwise = InvalidArgument if number == INVALID_ARGUMENT else InvalidState
    kind = _ENDINGS.get(STATUS_NAMES.get(number, ""), otherwise)
    named = tuple(
        Cause(where, STATUS_NAMES.get(status, ""), text) for where, status, text in causes
    )
    return kind(message, function=function, causes=named)


_UNTOLD = "the handler failed, and its error cannot be told"


def to_library(error: BaseException) -> tuple[int, str, str, list[tuple[str, int, str]]] | str:
    """Describe an exception of a handler to the library: as a failure, or as the text of an
    exception that was not written for callers.

    The exception is the user's: any of its attributes may raise, or have a wrong type.
    """
    try:
        if not isinstance(error, Error):
            name, text = type(error).__name__, _text(error)
            return f"{name}: {text}" if text else name
        if error.status not in _NUMBERS:
            # This status is the library's own, and no call ends with it.
            return _NUMBERS["FUNCTION_FAILED"], "", _text(error), []
        causes = [
            (_text(cause.function), _NUMBERS[cause.status], _text(cause.message))
            for cause in error.causes
        ]
        return _NUMBERS[error.status], _text(error.function), _text(error.message), causes
    except BaseException:
        return _UNTOLD


def _text(value: object) -> str:
    """Return a value as text that can be encoded, although it may hold surrogates."""
    return str(value).encode(errors="replace").decode()
