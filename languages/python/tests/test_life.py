"""Tests that processes start before they get requests, and end after their work is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import WITHIN, Engine

PROGRAM = Path(__file__).with_name("life.py")
KINDS = ["App", "Coroutine", "Plain"]


class Life:
    """Engines with functions of life.py, whose start and end the test controls."""

    def __init__(self, start: Callable[..., Engine], marks: Path) -> None:
        self._start = start
        self.marks = marks
        marks.mkdir()

    def start(self, name: str, lines: str = "", **options: bool) -> Engine:
        """Start an engine with one of the functions."""
        env = f'env = {{ MARKS = "{self.marks}" }}\n{lines}'
        return self._start(name, program=PROGRAM, **{name: env}, **options)

    def allow(self, what: str) -> None:
        """Create a file, which lets a step go on or fail."""
        (self.marks / what).touch()

    def forbid(self, what: str) -> None:
        """Remove the file that ``allow`` has created."""
        (self.marks / what).unlink()

    def said(self, text: str) -> list[str]:
        """Return the ids of the processes that have recorded this line."""
        file = self.marks / "said"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line.split()[-1] for line in lines if line.startswith(text)]

    def wait(self, text: str, count: int = 1) -> None:
        """Wait until at least ``count`` processes have recorded this line."""
        end = time.monotonic() + WITHIN
        while len(self.said(text)) < count:
            assert time.monotonic() < end, f"{text}: {self.said('')}"
            time.sleep(0.01)

    def order(self) -> list[str]:
        """Return all recorded lines in order, without the process ids."""
        return [line.rpartition(" ")[0] for line in (self.marks / "said").read_text().splitlines()]


@pytest.fixture
def life(start: Callable[..., Engine], tmp_path: Path) -> Life:
    """Return functions whose start and end the test controls."""
    return Life(start, tmp_path / "marks")


@pytest.mark.parametrize("name", KINDS)
def test_a_function_is_not_ready_before_its_start_is_over(life: Life, name: str) -> None:
    engine = life.start(name, ready=False)
    life.wait("starting")
    assert engine.get("/readyz")[0] == 503
    life.allow("begin")
    assert engine.post(name)[1] == life.said("starting")[0]
    assert engine.get("/readyz")[0] == 200


@pytest.mark.parametrize("name", KINDS)
def test_a_reload_leaves_the_processes_before_until_the_start_is_over(
    life: Life, name: str
) -> None:
    life.allow("begin")
    engine = life.start(name)
    old = engine.post(name)[1]
    life.forbid("begin")
    assert engine.reload("--no-wait", name) == (0, "")
    life.wait("starting", 2)
    assert engine.post(name) == (200, old)
    assert life.said("shutdown") == []
    life.allow("begin")
    life.wait("shutdown")
    assert life.said("shutdown") == [old]
    assert engine.post(name) == (200, life.said("starting")[1])


@pytest.mark.parametrize("name", KINDS)
def test_a_start_that_fails_fails_the_reload_and_the_processes_before_serve_on(
    life: Life, name: str
) -> None:
    life.allow("begin")
    engine = life.start(name)
    old = engine.post(name)[1]
    life.allow("fail")
    code, error = engine.reload(name)
    assert code == 1
    assert "exit code 1" in error
    assert "the processes that it had serve on" in error
    # The engine has tried at least three times, with pauses between, before the reload failed.
    assert len(life.said("starting")) >= 4
    assert engine.post(name) == (200, old)
    engine.logged(name, "the database is away")
    life.forbid("fail")
    life.wait("shutdown")
    assert engine.post(name)[1] == life.said("starting")[-1]


@pytest.mark.parametrize("name", KINDS)
def test_a_start_is_over_within_its_timeout(life: Life, name: str) -> None:
    life.start(name, 'start_timeout = "500ms"', ready=False)
    life.wait("starting", 2)


@pytest.mark.parametrize("name", ["App", "Coroutine"])
def test_work_after_the_answer_is_finished_before_the_shutdown(life: Life, name: str) -> None:
    life.allow("begin")
    engine = life.start(name)
    old = engine.post(f"{name}/after")[1]
    assert engine.reload(name) == (0, "")
    assert engine.post(name)[1] != old
    # A new process answers, so the engine has asked the old one to end.
    assert life.said("shutdown") == []
    life.allow("finish")
    life.wait("ended")
    tasks = [f"finished {number}" for number in ([1] if name == "App" else [0, 1])]
    assert sorted(life.order()[2:-2]) == tasks
    assert life.order()[-2:] == ["shutdown", "ended"]


@pytest.mark.parametrize("name", ["App", "Coroutine"])
def test_work_after_the_answer_is_finished_when_the_engine_stops(life: Life, name: str) -> None:
    life.allow("begin")
    engine = life.start(name)
    engine.post(f"{name}/after")
    engine.process.terminate()
    life.allow("finish")
    assert engine.process.wait(WITHIN) == 0
    assert life.order()[-2:] == ["shutdown", "ended"]
    assert not life.said("cut")


@pytest.mark.parametrize("name", ["App", "Coroutine"])
def test_work_that_does_not_end_is_cut_by_the_timeout_and_the_shutdown_follows(
    life: Life, name: str
) -> None:
    life.allow("begin")
    engine = life.start(name, 'stop_timeout = "300ms"')
    engine.post(f"{name}/after")
    began = time.monotonic()
    engine.stop()
    assert time.monotonic() - began < 10
    assert life.said("cut")
    assert life.order()[-2:] == ["shutdown", "ended"]
