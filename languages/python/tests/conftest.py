"""An engine that runs functions of a test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

WITHIN = 20.0
"""Seconds that anything may take."""

WORKER = Path(__file__).with_name("worker.py")


class Engine:
    """A running engine."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, directory: str) -> None:
        self.process = process
        self.url = url
        self.directory = directory

    def post(self, path: str, body: bytes | str = b"") -> tuple[int, str]:
        """Call a function; its status and body."""
        data = body.encode() if isinstance(body, str) else body
        request = urllib.request.Request(f"{self.url}/function/{path}", data=data, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=WITHIN) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def problem(self, path: str, body: bytes | str = b"") -> str:
        """Call a function that fails; what its error says."""
        status, text = self.post(path, body)
        assert status >= 400, text
        return str(json.loads(text)["detail"])

    def becomes(self, path: str, body: str, expected: str) -> None:
        """Wait until a function answers so."""
        end = time.monotonic() + WITHIN
        while (got := self.post(path, body)[1]) != expected:
            assert time.monotonic() < end, f"{path} answers {got!r} and not {expected!r}"

    def logged(self, function: str, text: str) -> None:
        """Wait until a function has printed something."""
        end = time.monotonic() + WITHIN
        while text not in (log := self.log(function)):
            assert time.monotonic() < end, f"{text!r} is not in\n{log}"

    def log(self, function: str) -> str:
        """What a function has printed."""
        command = ["nightcore", "logs", "--dir", self.directory, function]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Start an engine with functions of worker.py; lines of their configuration by keyword."""
    engines: list[tuple[Engine, tempfile.TemporaryDirectory[str]]] = []

    def start(*names: str, **lines: str) -> Engine:
        config = '[gateway]\nlisten = "127.0.0.1:0"\n'
        for name in names:
            command = json.dumps([sys.executable, str(WORKER)])
            config += f"[functions.{name}]\ncommand = {command}\n{lines.get(name, '')}\n"
        file = tmp_path / "nightcore.toml"
        file.write_text(config)
        # Short, as the path of a socket is.
        home = tempfile.TemporaryDirectory(prefix="nc")
        directory = f"{home.name}/e"
        ready, ready_end = os.pipe()
        up = ["nightcore", "up", "--config", str(file), "--dir", directory, "--ready-fd", str(ready_end)]
        process = subprocess.Popen(up, pass_fds=[ready_end], stderr=(tmp_path / "log").open("wb"))
        os.close(ready_end)
        with os.fdopen(ready) as stream:
            line = stream.readline()
        assert line.startswith("ready:"), (tmp_path / "log").read_text()
        engine = Engine(process, line.removeprefix("ready: ").split(",")[0], directory)
        engines.append((engine, home))
        return engine

    yield start
    for engine, home in engines:
        engine.process.send_signal(signal.SIGTERM)
        assert engine.process.wait(WITHIN) == 0
        home.cleanup()
