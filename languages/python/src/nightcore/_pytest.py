"""The plugin for pytest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from . import testing


@pytest.fixture
def nightcore_request() -> Iterator[testing.SetRequest]:
    """Make ``nightcore.current_request()`` find a request until the end of the test.

    See ``nightcore.testing.set_request``, whose arguments it takes.
    """
    with ExitStack() as stack:

        def set_request(*arguments: Any, **options: Any) -> Any:
            return stack.enter_context(testing.set_request(*arguments, **options))

        yield set_request
