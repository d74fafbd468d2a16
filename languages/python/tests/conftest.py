"""An engine that runs functions of a test."""

from __future__ import annotations

import json
import re
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
"""The longest time that an operation may take, in seconds."""

WORKER = Path(__file__).with_name("worker.py")


class Engine:
    """A running engine."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, directory: str) -> None:
        self.process = process
        self.url = url
        self.directory = directory

    def post(self, path: str, body: bytes | str = b"") -> tuple[int, str]:
        """Call a function, and return the status and the body of its answer."""
        data = body.encode() if isinstance(body, str) else body
        request = urllib.request.Request(f"{self.url}/function/{path}", data=data, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=WITHIN) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def problem(self, path: str, body: bytes | str = b"") -> str:
        """Call a function that fails, and return the text of its error."""
        status, text = self.post(path, body)
        assert status >= 400, text
        return str(json.loads(text)["detail"])

    def becomes(self, path: str, body: str, expected: str) -> None:
        """Wait until a function gives the expected answer."""
        end = time.monotonic() + WITHIN
        while (got := self.post(path, body)[1]) != expected:
            assert time.monotonic() < end, f"{path} answers {got!r} and not {expected!r}"

    def get(self, path: str) -> tuple[int, str]:
        """Get a page, and return its status and text."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=WITHIN) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def reload(self, *arguments: str) -> tuple[int, str]:
        """Run `nightcore reload`, and return its exit code and standard error."""
        command = ["nightcore", "reload", "--dir", self.directory, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN)
        return done.returncode, done.stderr

    def stop(self) -> None:
        """End the engine."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(WITHIN) == 0

    def logged(self, function: str, text: str) -> None:
        """Wait until a function has printed this text."""
        end = time.monotonic() + WITHIN
        while text not in (log := self.log(function)):
            assert time.monotonic() < end, f"{text!r} is not in\n{log}"

    def log(self, function: str) -> str:
        """Return the output of a function, also if the engine has ended."""
        command = ["nightcore", "logs", "--dir", self.directory, function]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Start an engine with functions of a program; keywords add lines to their configuration."""
    engines: list[tuple[Engine, tempfile.TemporaryDirectory[str]]] = []

    def start(*names: str, program: Path = WORKER, ready: bool = True, **lines: str) -> Engine:
        config = '[gateway]\nlisten = "127.0.0.1:0"\n[defaults]\nexpose_errors = true\n'
        for name in names:
            command = json.dumps([sys.executable, str(program)])
            config += f"[functions.{name}]\ncommand = {command}\n{lines.get(name, '')}\n"
        file = tmp_path / "nightcore.toml"
        file.write_text(config)
        # The path is short, because the path of a socket has a limit.
        home = tempfile.TemporaryDirectory(prefix="nc")
        directory = f"{home.name}/e"
        up = ["nightcore", "up", "--config", str(file), "--dir", directory]
        process = subprocess.Popen(up, stderr=(tmp_path / "log").open("wb"))
        said = "ready: " if ready else "listening on "
        end = time.monotonic() + WITHIN
        while (
            found := re.search(rf"{said}(http://[0-9.:]+)", (tmp_path / "log").read_text())
        ) is None:
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < end, (tmp_path / "log").read_text()
            time.sleep(0.01)
        engine = Engine(process, found[1], directory)
        engines.append((engine, home))
        return engine

    yield start
    for engine, home in engines:
        if engine.process.poll() is None:
            engine.stop()
        home.cleanup()
