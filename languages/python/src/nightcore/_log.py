"""Writes lines of the log, each with the id of its call."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from types import TracebackType

from ._facts import LINE_MARK, LOG_KEY_VARIABLE

_KEY = os.environ.get(LOG_KEY_VARIABLE)
"""The key by which the launcher believes a mark; none if the output goes to no log."""

_MARK = f"{LINE_MARK}{_KEY}"

NO_CALL = "0" * 16
"""The id of a request that no engine sent."""


def write(call: str, text: str) -> None:
    """Write each line of a text to standard error, marked with the id of its call."""
    if sys.stderr is None:
        return  # It was closed when the interpreter began.
    lines = text.removesuffix("\n").split("\n")
    # If standard error is closed or full, the error cannot be reported anywhere.
    with contextlib.suppress(OSError, ValueError):
        if call == NO_CALL:
            before = ""
        elif _KEY is None or sys.stderr.isatty():
            before = f"{call} "
        else:
            before = f"{_MARK}{call} "
        # All lines go in one write, so that lines of other threads do not come between.
        sys.stderr.write("".join(f"{before}{line}\n" for line in lines))
        sys.stderr.flush()


def write_error(call: str, error: BaseException, frames: TracebackType | None) -> None:
    """Write the traceback of an exception from these frames on. Formatting it may raise."""
    try:
        text = "".join(traceback.format_exception(type(error), error, frames))
    except BaseException:
        text = "an error that cannot be shown"
    try:
        write(call, text)
    except Exception:
        # The error cannot be reported anywhere.
        return
