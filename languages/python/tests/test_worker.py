"""Tests of functions in Python that an engine runs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import WORKER, Engine

Start = Callable[..., Engine]


@pytest.mark.parametrize("name", ["Foo", "Plain"])
def test_functions_call_each_other(start: Start, name: str) -> None:
    assert start(name, "Bar").post(name, "Hello") == (200, "From function Bar: Hello, World")


def test_json_status_and_metadata_go_both_ways(start: Start) -> None:
    engine = start("Json", "Shape")
    request = urllib.request.Request(
        f"{engine.url}/function/Json", data=b'{"a":[1,"\xc3\xbc"]}', method="POST"
    )
    with urllib.request.urlopen(request) as response:
        assert (response.status, json.load(response)) == (201, {"got": {"a": [1, "ü"]}})
        assert response.headers["x-kind"] == "test"
        assert response.headers.get_all("set-cookie") == ["a", "b"]
        assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("channel", ["ring", "fifo"])
def test_the_rest_of_the_loop_goes_on_while_calls_go_back_and_forth(
    start: Start, channel: str
) -> None:
    engine = start("Others", "Bar", Others=f'channel = "{channel}"')
    assert engine.post("Others") == (200, "")


@pytest.mark.parametrize("channel", ["ring", "fifo"])
def test_an_idle_worker_uses_no_cpu(start: Start, channel: str) -> None:
    engine = start("Cpu", Cpu=f'channel = "{channel}"')
    for _ in range(100):
        began = float(engine.post("Cpu")[1])
    # The worker is idle if it uses little CPU time for a second.
    time.sleep(1)
    assert float(engine.post("Cpu")[1]) - began < 0.1


def test_calls_that_sleep_do_so_together(start: Start) -> None:
    engine = start("Gather", "Sleep")
    began = time.monotonic()
    assert engine.post("Gather", "Sleep 100") == (200, "100")
    # One after the other, the calls would take 10 s.
    assert time.monotonic() - began < 2


def test_a_function_may_call_itself(start: Start) -> None:
    engine = start("Again")
    with ThreadPoolExecutor(32) as clients:
        assert list(clients.map(lambda _: engine.post("Again"), range(32))) == [(200, "twice")] * 32


def test_cancelling_is_asyncios(start: Start) -> None:
    engine = start("GiveUp", "Stuck")
    assert engine.post("GiveUp", "cancel") == (200, "CancelledError")
    engine.becomes("Stuck", "?", "1")
    assert engine.post("GiveUp", "wait_for") == (200, "TimeoutError")
    engine.becomes("Stuck", "?", "2")
    assert engine.post("GiveUp", "timeout") == (200, "DeadlineExceeded")
    engine.becomes("Stuck", "?", "3")


def test_a_call_that_is_cancelled_before_it_begins_gives_its_place_back(start: Start) -> None:
    engine = start("Briefly", "Stuck", Stuck="workers = { max = 8 }")
    assert engine.post("Briefly") == (200, "200")
    assert engine.post("Stuck", "?")[0] == 200


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("raise", "LookupError: no such user"),
        ("exit", "SystemExit: 3"),
        (
            "tuple",
            "a handler returns bytes, str, a dict, a list, None or a nightcore.Reply, not tuple; "
            "for an HTTP status return nightcore.Reply(body, status)",
        ),
        ("coroutine", "not coroutine; to await in it, write it with async def"),
        ("body and json", "a call has a body or json, not both"),
        ("timeout", "INVALID_ARGUMENT: a timeout must be more than 0, and is -1 s"),
        ("body", "a body is bytes or str, not int"),
        ("metadata", 'metadata "a b": a metadata name must be 1 to 255 visible ASCII characters'),
        ("serve", "this process serves already: one process hosts one function"),
        ("function", "'More' comes too late: register handlers before nightcore.serve()"),
        ("callee", 'Nobody: NOT_FOUND: there is no function "Nobody"'),
    ],
)
def test_failures_and_misuse_are_told_clearly(start: Start, what: str, said: str) -> None:
    assert said in start("Fails", "Bar").problem("Fails", what)


@pytest.mark.parametrize("name", ["HostilePlain", "HostileAsync"])
def test_a_failure_is_told_at_once_whatever_the_exception_is(start: Start, name: str) -> None:
    # A call that is not answered would end by its deadline.
    engine = start(name, **{name: 'timeout = "10s"'})
    kinds = engine.post(name, "?")[1].split(",")
    assert len(kinds) > 10
    # The calls run at once, so that none may block or end another one.
    with ThreadPoolExecutor(len(kinds)) as clients:
        for kind, (status, text) in zip(
            kinds, clients.map(lambda kind: engine.post(name, kind), kinds), strict=True
        ):
            assert status == 500, f"{kind}: {text}"
            assert json.loads(text)["error"] == "FUNCTION_FAILED", kind
    assert engine.post(name, "?")[0] == 200


def test_calls_outside_of_requests_are_refused_where_they_cannot_be(start: Start) -> None:
    status, said = start("Early", "Bar").post("Early")
    assert status == 200
    assert "this process does not serve yet" in said
    assert "await nightcore.call_async instead" in said
    assert said.count("is not a name of a function") == 2


@pytest.mark.parametrize("name", ["Order", "OrderPlain"])
def test_work_after_the_answer_calls_until_its_process_ends(
    start: Start, name: str, tmp_path: Path
) -> None:
    engine = start(name, "Bar")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    old = engine.post(name, str(pipe))[1]
    assert engine.reload(name) == (0, "")
    # The engine has asked the old process to end, which still has work to finish.
    assert engine.post(name)[1] != old
    pipe.write_bytes(b"go on")
    engine.logged(name, "From function Bar: later")


@pytest.mark.parametrize("name", ["Farewell", "FarewellPlain"])
def test_a_process_calls_for_the_first_time_as_it_ends(start: Start, name: str) -> None:
    engine = start(name, "Bar")
    assert engine.reload(name) == (0, "")
    engine.logged(name, "From function Bar: farewell")


def test_a_call_outside_of_requests_that_is_cancelled_is_taken_back(start: Start) -> None:
    engine = start("TakeBack", "Stuck")
    assert engine.post("TakeBack") == (200, "CancelledError")
    engine.becomes("Stuck", "?", "1")


def test_an_asgi_app_sees_paths_decoded_and_no_client_makes_it_fail(start: Start) -> None:
    engine = start("Page", Page='route = "/my%20app"')
    host, port = engine.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(
            "GET /my%20app/é%C3%A9 HTTP/1.1\r\nHost: me\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: client.recv(4096), b"")).decode()
    assert answer.endswith("\r\n\r\n/my app /my app/éé ('me', 80)")
    assert engine.post("Page", "exit")[0] == 500
    assert engine.post("Page", "the app goes on")[0] == 200


def test_errors_are_caught_by_their_class(start: Start) -> None:
    assert start("Fails").post("Fails", "caught") == (200, "Nobody NOT_FOUND")


def test_the_traceback_is_in_the_log_and_begins_with_the_handler(start: Start) -> None:
    engine = start("Fails")
    engine.problem("Fails", "raise")
    engine.logged("Fails", "LookupError: no such user")
    log = engine.log("Fails")
    assert 'raise LookupError("no such user")' in log
    assert "_serve.py" not in log
    calls = {
        line.split(" ")[2]
        for line in log.splitlines()
        if "Traceback" in line or "LookupError" in line
    }
    assert len(calls) == 1
    assert "-" not in calls, "each line has the id of its call"


def test_a_request_is_used_in_its_time_and_on_its_thread(start: Start) -> None:
    engine = start("Late", "OtherThread", "Bar", "Fork")
    engine.post("Late")
    assert (
        "the request has ended: make its calls before its handler returns"
        in engine.post("Late", "?")[1]
    )
    assert "a request belongs to the thread of its handler" in engine.post("OtherThread")[1]
    said = engine.post("Fork")[1]
    assert "this process is a fork of a worker" in said or "belongs to the thread" in said
    assert said.endswith("; From function Bar: the parent goes on")


def test_what_is_logged_and_printed_is_seen_at_once(start: Start) -> None:
    engine = start("Log")
    engine.post("Log", "this")
    engine.logged("Log", "WARNING:root:logged this")
    engine.logged("Log", "printed this")


def test_computing_scales_by_processes(start: Start) -> None:
    engine = start("Busy", Busy="processes = 2")
    with ThreadPoolExecutor(8) as clients:
        processes = {text for _, text in clients.map(lambda _: engine.post("Busy"), range(16))}
    assert len(processes) == 2


def test_a_program_that_nightcore_has_not_started_says_how_to() -> None:
    done = subprocess.run(
        [sys.executable, str(WORKER)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "was not started by Nightcore" in done.stderr
    assert "nightcore up" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_without_the_function_names_those_it_has(start: Start) -> None:
    said = start("Nonesuch").problem("Nonesuch")
    assert 'no handler "Nonesuch"' in said
    assert "Plain" in said


@pytest.mark.parametrize(
    ("name", "line"), [("Bar", 'return "From function Bar'), ("Foo", 'return await req.call("Bar"')]
)
def test_a_breakpoint_stops_a_handler_of_an_attached_process(
    start: Start, name: str, line: str
) -> None:
    number = next(n for n, text in enumerate(WORKER.read_text().splitlines(), 1) if line in text)
    # The debugger stops the handlers for much longer than these timeouts, which do not apply then.
    engine = start("Foo", "Bar", Foo='timeout = "200ms"', Bar='timeout = "200ms"')
    command = [
        "nightcore",
        "attach",
        "--dir",
        engine.directory,
        name,
        "--",
        sys.executable,
        "-m",
        "pdb",
        str(WORKER),
    ]
    with (
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as debugger,
        ThreadPoolExecutor(1) as client,
    ):
        assert debugger.stdin is not None
        assert debugger.stdout is not None
        debugger.stdin.write(f"break {number}\ncontinue\n")
        debugger.stdin.flush()
        status = ["nightcore", "ps", "--dir", engine.directory, "--json"]
        while b'"attached":true' not in subprocess.check_output(status).replace(b" ", b""):
            assert debugger.poll() is None
        called = client.submit(engine.post, name, "Hello")
        while f"worker.py({number})" not in (said := debugger.stdout.readline()):
            assert said, "the debugger has ended"
        time.sleep(0.3)
        debugger.stdin.write("print('body:', req.text())\ncontinue\n")
        debugger.stdin.flush()
        while "body: Hello" not in (said := debugger.stdout.readline()):
            assert said, "the debugger has ended"
        assert called.result()[0] == 200
        debugger.kill()
