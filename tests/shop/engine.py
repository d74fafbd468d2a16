"""Runs a copy of the shop in an engine, and sends requests to it as a client."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Every event that a test waits for happens within this time on any machine.
PATIENCE_S = 20

# The folder of the built shop.
BUILT = Path(os.environ["SHOP"])


@dataclass(frozen=True)
class Answer:
    """The answer that a client receives."""

    status: int
    text: str
    # The id of the call; empty if there was none.
    call: str

    def json(self) -> Any:
        return json.loads(self.text)


def until(condition: Callable[[], object], what: Callable[[], str]) -> None:
    """Wait until a condition holds. If it never does, `what` gives the message of the error."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(what())
        time.sleep(0.005)


class Engine:
    """`nightcore up` in a copy of the shop, on a free port. It ends with its `with` block."""

    def __init__(
        self, changes: dict[str, tuple[str, str]] | None = None, command: str = "up"
    ) -> None:
        self._changes = changes or {}
        self._command = command

    def __enter__(self) -> Engine:
        self.home = Path(tempfile.mkdtemp(prefix="shop-test."))
        for folder in BUILT.iterdir():
            if folder.name in ("shop", "cart", "checkout"):
                # The tests replace files in these folders, so each entry is a separate link.
                (self.home / folder.name).mkdir()
                for entry in folder.iterdir():
                    (self.home / folder.name / entry.name).symlink_to(entry)
            elif folder.is_dir():
                (self.home / folder.name).symlink_to(folder)
        shutil.copy(BUILT / "nightcore.toml", self.home)
        for file, (right, wrong) in self._changes.items():
            self.change(file, right, wrong)
        if "127.0.0.1:8080" in (self.home / "nightcore.toml").read_text():
            self.change("nightcore.toml", "127.0.0.1:8080", "127.0.0.1:0")
        self._start()
        return self

    def _start(self) -> None:
        read, write = os.pipe()
        with (self.home / "output").open("wb") as output:
            command = ["nightcore", self._command, "--ready-fd", str(write)]
            self.process = subprocess.Popen(command, cwd=self.home, stderr=output, pass_fds=[write])
        os.close(write)
        with os.fdopen(read) as pipe:
            self.ready = pipe.readline().strip()
        found = re.search(r"http://[^\s,]+", self.ready)
        self.url = found[0] if found else ""

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.process.terminate()
        code = self.process.wait(PATIENCE_S)
        if error is not None:
            print(f"{self.home}: exit code {code}\n{self.printed()}")
        shutil.rmtree(self.home)

    def change(self, file: str, old: str, new: str) -> None:
        """Replace a file by a changed one with a rename, as editors do."""
        path = self.home / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file} has {old!r} {text.count(old)} times"
        changed = path.with_name(f".{path.name}.new")
        changed.write_text(text.replace(old, new))
        changed.rename(path)

    def printed(self) -> str:
        """Return the output of the engine so far, with the lines of its functions."""
        return (self.home / "output").read_text(errors="replace")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a nightcore command while the engine runs."""
        command = ["nightcore", *arguments]
        return subprocess.run(
            command, cwd=self.home, capture_output=True, text=True, timeout=PATIENCE_S
        )

    def function(self, name: str) -> dict[str, Any]:
        """Return the entry of a function in `nightcore ps`."""
        listed = json.loads(self.run("ps", "--json").stdout)["functions"]
        return next(function for function in listed if function["name"] == name)

    def pid(self, name: str) -> int:
        """Return the id of a function's process."""
        return int(self.function(name)["processes"][0]["pid"])

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Send a request and return the answer. A body that is not text is encoded as JSON."""
        text = body if isinstance(body, str) or body is None else json.dumps(body)
        data = None if text is None else text.encode()
        request = urllib.request.Request(
            self.url + path, data, {"content-type": "application/json"}, method=method
        )
        try:
            response = urllib.request.urlopen(request, timeout=PATIENCE_S)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            call = response.headers["x-nightcore-call"] or ""
            return Answer(response.status, response.read().decode(), call)
