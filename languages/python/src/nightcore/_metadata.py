"""Metadata of requests and answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

Pairs = Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]]
"""Metadata as a program gives them: a mapping, or pairs, where a name may come more than once."""


def encode(pairs: Pairs | None) -> list[tuple[str, bytes]] | None:
    """Encode pairs for the library."""
    if not pairs:
        return None
    if isinstance(pairs, Metadata):
        return list(pairs.raw)
    given = pairs.items() if isinstance(pairs, Mapping) else pairs
    items = cast("Iterable[tuple[str, str | bytes]]", given)
    try:
        return [
            (name.lower(), value if isinstance(value, bytes) else _bytes(value))
            for name, value in items
        ]
    except AttributeError:
        raise TypeError(
            "metadata are names, which are str, with values, which are str or bytes"
        ) from None


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")


class Metadata(Mapping[str, str]):
    """Ordered pairs of names and values, and a mapping from each name to its first value.

    Names are in lower case; a lookup ignores case. Values are text. Bytes that are not UTF-8
    become surrogates, as in file names. The metadata of an HTTP request are ``:method``,
    ``:prefix``, ``:path``, ``:query`` and its headers.
    """

    __slots__ = ("raw",)

    raw: list[tuple[str, bytes]]
    """The pairs in their order, with values as bytes."""

    def __init__(self, pairs: Pairs | None = None) -> None:
        self.raw = encode(pairs) or []

    @classmethod
    def _of_raw(cls, raw: list[tuple[str, bytes]]) -> Metadata:
        """Wrap pairs of the library without a copy."""
        made = cls.__new__(cls)
        made.raw = raw
        return made

    def __getitem__(self, name: str) -> str:
        name = name.lower()
        for own, value in self.raw:
            if own == name:
                return _text(value)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.raw))

    def __len__(self) -> int:
        return len(dict(self.raw))

    def getlist(self, name: str) -> list[str]:
        """Return all values of a name, in their order."""
        name = name.lower()
        return [_text(value) for own, value in self.raw if own == name]

    def pairs(self) -> list[tuple[str, str]]:
        """Return all pairs, in their order."""
        return [(name, _text(value)) for name, value in self.raw]

    def __repr__(self) -> str:
        return f"Metadata({self.pairs()!r})"


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
