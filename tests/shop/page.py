"""Checks that docs/shop.md shows the shop's real code and the real output of each mistake."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

from mistakes import MISTAKES, WENT_WRONG, WRONG_TYPES, compile_wrongly, make, take_port

from engine import BUILT

PAGE = (Path(__file__).parents[2] / "docs" / "shop.md").read_text()

CODE = {
    "toml": "nightcore.toml",
    "javascript": "shop/shop.mjs",
    "golang": "catalog/main.go",
    "c++": "pricing/pricing.cpp",
    "rs": "recommend/src/main.rs",
}


def blocks(language: str, text: str) -> list[str]:
    """Return the code blocks of a language in a text."""
    found = re.findall(rf"^```{re.escape(language)}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert found, f"docs/shop.md has no block of {language}"
    return found


class ThePage(unittest.TestCase):
    def test_code_is_the_shops(self) -> None:
        for language, file in CODE.items():
            source = (BUILT / file).read_text()
            for block in blocks(language, PAGE):
                assert block in source, f"{file} has no\n{block}"
        python = (BUILT / "cart/cart.py").read_text() + (BUILT / "checkout/checkout.py").read_text()
        for block in blocks("py", PAGE):
            assert block in python, f"neither cart.py nor checkout.py has\n{block}"

    def test_what_is_shown_of_mistakes_is_printed(self) -> None:
        printed = [make(mistake).printed for mistake in MISTAKES]
        printed += [
            take_port()[1],
            *(compile_wrongly(mistake).stderr for mistake in WRONG_TYPES),
            WENT_WRONG,
        ]
        lines = {
            re.sub(r"process \d+", "process 4711", line)
            for text in printed
            for line in text.splitlines()
        }
        chapter = PAGE.partition("## Ten mistakes")[2]
        shown = [line for block in blocks("text", chapter) for line in block.splitlines()]
        # Compilers begin a line with a path, which the page leaves out.
        missing = [line for line in shown if not any(other.endswith(line) for other in lines)]
        assert not missing, "\n".join(["docs/shop.md shows what is not printed:", *missing])


if __name__ == "__main__":
    unittest.main()
