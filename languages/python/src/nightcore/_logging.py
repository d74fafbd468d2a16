"""A handler for Python's own logging."""

from __future__ import annotations

import logging

from ._current import current
from ._log import NO_CALL, write


class LogHandler(logging.Handler):
    """Writes records to standard error, those of a request with the id of its call::

        logging.basicConfig(handlers=[nightcore.LogHandler()], level=logging.INFO)

    Each line of a record has it, as those of :meth:`Request.log` have.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            request = current.get(None)
            write(NO_CALL if request is None else request.id, self.format(record))
        except Exception:
            self.handleError(record)
