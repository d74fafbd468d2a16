"""A handler for Python's own logging."""

from __future__ import annotations

import logging

from ._log import NO_CALL, write
from ._serve import _current


class LogHandler(logging.Handler):
    """Writes records to standard error, those of a request with the id of its call::

        logging.basicConfig(handlers=[nightcore.LogHandler()], level=logging.INFO)

    Each line of a record has it, as those of :meth:`Request.log` have.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            request = _current.get(None)
            write(NO_CALL if request is None else request.id, self.format(record))
        except Exception:
            self.handleError(record)
