"""Replies of handlers, and the bodies of calls."""

from __future__ import annotations

import json as _json
from collections.abc import Mapping
from typing import Any

from ._answer import Answer
from ._http_errors import HttpError, checked_status
from ._metadata import Metadata, Pairs, encode

Body = bytes | bytearray | memoryview | str
"""A body as a program gives it.

Text is sent as UTF-8. Surrogates that stand for bytes, as in values of metadata that are not UTF-8,
become these bytes again. Any other surrogate is a ``UnicodeEncodeError``.
"""

NO_JSON: Any = ...
"""In place of a value that is sent as JSON: there is none. ``None`` is sent as ``null``."""

Replied = Body | Mapping[str, Any] | list[Any]
"""The body of a reply. A dict or a list is sent as JSON."""


class Reply:
    """A reply with an HTTP status and metadata, for a handler to return.

    ``body`` is bytes, text, or a dict or a list, which is sent as JSON. ``json`` is sent as JSON
    whatever it is, also ``None``, instead of a body. ``status`` is an integer from 200 to 599, and
    200 if it is not given; it replaces a ``:status`` in ``metadata``. Raises
    :class:`InvalidArgument` if ``status`` is no such integer.
    """

    __slots__ = ("_pairs", "body")

    body: bytes
    """The body as it is sent."""
    _pairs: list[tuple[str, bytes]]

    def __init__(
        self,
        body: Replied = b"",
        status: int | None = None,
        metadata: Pairs | None = None,
        *,
        json: Any = NO_JSON,
    ) -> None:
        pairs = encode(metadata) or []
        if json is not NO_JSON:
            if body:
                raise TypeError("a reply has a body or json, not both")
            body = encode_json(json)
            _add_content_type(pairs, _JSON_TYPE)
        elif isinstance(body, (Mapping, list)):
            body = encode_json(body)
            _add_content_type(pairs, _JSON_TYPE)
        if status is not None:
            others = [pair for pair in pairs if pair[0] != ":status"]
            pairs = [(":status", b"%d" % checked_status(status)), *others]
        self.body = encode_body(body)
        self._pairs = pairs

    @property
    def metadata(self) -> Metadata:
        """The metadata of the reply. ``:status`` is its HTTP status."""
        return Metadata._of_raw(list(self._pairs))


Returned = Replied | Reply | None
"""A value that a handler may return."""

_JSON_TYPE = b"application/json"
_TEXT_TYPE = b"text/plain; charset=utf-8"


def _add_content_type(pairs: list[tuple[str, bytes]], value: bytes) -> None:
    if not any(name == "content-type" for name, _ in pairs):
        pairs.append(("content-type", value))


def reply_of_error(error: HttpError) -> Reply:
    """Return the reply that an error stands for."""
    pairs = encode(error.metadata) or []
    if isinstance(error.body, str):
        _add_content_type(pairs, _TEXT_TYPE)
    return Reply(error.body, error.status, pairs)


def encode_json(value: Any) -> bytes:
    """Encode a value as JSON without needless blanks.

    Raises ``TypeError`` if JSON has no such value, and ``ValueError`` for NaN and Infinity.
    """
    if isinstance(value, Mapping) and not isinstance(value, dict):
        value = dict(value)
    text = _dump(value, ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        # The text has surrogates, such as those in metadata that are not UTF-8. JSON has escapes
        # for them.
        return _dump(value, ensure_ascii=True).encode()


def _dump(value: Any, *, ensure_ascii: bool) -> str:
    try:
        return _json.dumps(value, ensure_ascii=ensure_ascii, allow_nan=False, separators=(",", ":"))
    except ValueError:
        # Before Python 3.12 the error does not name the number.
        _json.loads(_json.dumps(value), parse_constant=_refuse)
        raise


def _refuse(number: str) -> None:
    raise ValueError(f"JSON has no {number}: send null or a text instead") from None


def encode_body(body: Body) -> bytes:
    """Encode a body for the library."""
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "surrogateescape")
    if isinstance(body, (bytearray, memoryview)):
        return bytes(body)
    raise TypeError(f"a body is bytes or str, not {type(body).__name__}")


def encode_call(
    body: Body, json: Any, metadata: Pairs | None
) -> tuple[bytes, list[tuple[str, bytes]] | None]:
    """Encode the body of a call, which is ``body`` or ``json`` as JSON, and its metadata."""
    pairs = encode(metadata)
    if json is NO_JSON:
        return encode_body(body), pairs
    if body:
        raise TypeError("a call has a body or json, not both")
    pairs = pairs or []
    _add_content_type(pairs, _JSON_TYPE)
    return encode_json(json), pairs


def encode_returned(returned: Any) -> tuple[bytes, list[tuple[str, bytes]] | None]:
    """Encode the body and the metadata of a value that a handler has returned."""
    if returned is None:
        return b"", None
    if isinstance(returned, Answer):
        return returned, list(returned._pairs) or None
    if isinstance(returned, bytes):
        return returned, None
    if isinstance(returned, Reply):
        return returned.body, returned._pairs or None
    if isinstance(returned, (str, bytearray, memoryview)):
        return encode_body(returned), None
    if isinstance(returned, (Mapping, list)):
        return encode_json(returned), [("content-type", _JSON_TYPE)]
    hint = ""
    if hasattr(returned, "__await__"):
        hint = "; to await in it, write it with async def"
    elif isinstance(returned, tuple):
        hint = "; for an HTTP status return nightcore.Reply(body, status)"
    elif isinstance(returned, (int, float)):
        hint = "; for JSON return nightcore.Reply(json=...)"
    kinds = "bytes, str, a dict, a list, None or a nightcore.Reply"
    raise TypeError(f"a handler returns {kinds}, not {type(returned).__name__}{hint}")
