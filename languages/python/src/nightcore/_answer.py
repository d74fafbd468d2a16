"""What functions answer with."""

from __future__ import annotations

import json as _json
from typing import Any

from ._metadata import Metadata, Pairs, encode


class Answer(bytes):
    """The answer to a call: its body, as bytes, with what came beside it.

    Returned from a handler it is answered whole.
    """

    # Of the class: most answers have none.
    _pairs: list[tuple[str, bytes]] = []  # noqa: RUF012

    @property
    def status(self) -> int:
        """The HTTP status that the function chose; 200 if it chose none. Whatever it is, the call went well."""
        for name, value in self._pairs:
            if name == ":status":
                return int(value)
        return 200

    @property
    def metadata(self) -> Metadata:
        """The answer's headers."""
        return Metadata.of_raw(self._pairs)

    def json(self) -> Any:
        """The body, decoded."""
        return _json.loads(self)

    def text(self) -> str:
        """The body as text, which must be UTF-8."""
        return self.decode()


class Response:
    """An answer with an HTTP status and headers.

    ``body`` is bytes or text, or ``json`` is anything that :func:`json.dumps` takes.
    """

    __slots__ = ("body", "pairs")

    body: bytes
    pairs: list[tuple[str, bytes]]

    def __init__(
        self,
        body: bytes | bytearray | memoryview | str = b"",
        status: int | None = None,
        metadata: Pairs | None = None,
        *,
        json: Any = None,
    ) -> None:
        pairs = encode(metadata) or []
        if json is not None:
            body = encode_json(json)
            if not any(name == "content-type" for name, _ in pairs):
                pairs.append(("content-type", b"application/json"))
        if status is not None:
            pairs.insert(0, (":status", b"%d" % status))
        self.body = encode_body(body)
        self.pairs = pairs


Returned = bytes | bytearray | memoryview | str | Response | None
"""What a handler may return."""


def encode_json(value: Any) -> bytes:
    """JSON without needless blanks."""
    return _json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def encode_body(body: bytes | bytearray | memoryview | str) -> bytes:
    """A body for the library."""
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, (bytearray, memoryview)):
        return bytes(body)
    raise TypeError(f"a body is bytes or str, not {type(body).__name__}")


def encode_returned(returned: Any) -> tuple[bytes, list[tuple[str, bytes]] | None]:
    """Body and metadata of what a handler has returned."""
    if returned is None:
        return b"", None
    if isinstance(returned, Answer):
        return returned, returned._pairs or None
    if isinstance(returned, bytes):
        return returned, None
    if isinstance(returned, Response):
        return returned.body, returned.pairs or None
    if isinstance(returned, (str, bytearray, memoryview)):
        return encode_body(returned), None
    hint = ""
    if hasattr(returned, "__await__"):
        hint = "; to await in it, write it with async def"
    elif isinstance(returned, (dict, list, int, float)):
        hint = "; for JSON return nightcore.Response(json=...)"
    raise TypeError(f"a handler returns bytes, str, None or a nightcore.Response, not {type(returned).__name__}{hint}")
