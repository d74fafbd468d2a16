"""Tests of handlers' HTTP errors, of the HTTP statuses of answers, and of JSON."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import Any

import nightcore
import pytest
from nightcore import testing


def ended(error: nightcore.HttpError) -> nightcore.Answer:
    """Return the answer of a handler that raises this error."""

    def handler(_: nightcore.Request) -> bytes:
        raise error

    async def coroutine(_: nightcore.AsyncRequest) -> bytes:
        raise error

    answer = testing.run(handler)
    other = testing.run(coroutine)
    assert (answer, answer.metadata.raw) == (other, other.metadata.raw)
    return answer


@pytest.mark.parametrize(
    ("body", "sent", "kind"),
    [
        ("no ü", "no ü".encode(), "text/plain; charset=utf-8"),
        (b"\xff", b"\xff", None),
        ({"a": [1]}, b'{"a":[1]}', "application/json"),
        ([1, "ü"], '[1,"ü"]'.encode(), "application/json"),
    ],
)
def test_an_http_error_is_a_reply(body: Any, sent: bytes, kind: str | None) -> None:
    answer = ended(nightcore.HttpError(404, body, {"X-A": "b"}))
    assert (answer, answer.status) == (sent, 404)
    assert answer.metadata["x-a"] == "b"
    assert answer.metadata.get("content-type") == kind


def test_metadata_of_an_http_error_can_set_its_content_type() -> None:
    answer = ended(nightcore.HttpError(400, "<p>", {"Content-Type": "text/html"}))
    assert answer.metadata.getlist("content-type") == ["text/html"]


def test_a_status_replaces_the_one_in_the_metadata() -> None:
    callee = nightcore.Metadata([(":status", b"201"), ("x-a", b"b")])
    for answer in (
        ended(nightcore.HttpError(404, "", callee)),
        ended(nightcore.HttpError(404, "", {":Status": "201", "x-a": "b"})),
        testing.run(lambda _: nightcore.Reply("", 404, callee)),
    ):
        assert (answer.metadata.getlist(":status"), answer.metadata["x-a"]) == (["404"], "b")
    assert testing.run(lambda _: nightcore.Reply("", metadata=callee)).status == 201


@pytest.mark.parametrize("status", [200, 399, 600, -1, "404", 404.0, True, None])
def test_the_status_of_an_http_error_is_one_of_400_to_599(status: Any) -> None:
    with pytest.raises(nightcore.InvalidArgument, match="from 400 to 599, and is "):
        nightcore.HttpError(status)


@pytest.mark.parametrize("status", [199, 600, "200", True])
def test_the_status_of_a_reply_is_one_of_200_to_599(status: Any) -> None:
    with pytest.raises(nightcore.InvalidArgument, match="from 200 to 599, and is "):
        nightcore.Reply(b"", status)


def answer_with(status: int, body: Any) -> nightcore.Answer:
    """Return the answer of a call to the function ``Callee``."""
    answers: list[nightcore.Answer] = []

    def handler(req: nightcore.Request) -> None:
        answers.append(req.start("Callee").result())
        answers.append(req.call("Callee"))

    async def coroutine(req: nightcore.AsyncRequest) -> None:
        answers.append(await req.call("Callee"))

    testing.run(handler, call=lambda _: nightcore.Reply(body, status))
    testing.run(coroutine, call=lambda _: nightcore.Reply(body, status))
    assert len({tuple(vars(answer).items().__repr__()) for answer in answers}) == 1
    return answers[0]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        *((sent, 200) for sent in ("x", "", "4_0_4", " 404", "-404", "4.0e2", b"\xff", "65536")),
        ("9" * 5000, 200),
        ("404", 404),
        ("0404", 404),
    ],
)
def test_a_status_that_is_no_number_is_none(sent: str | bytes, status: int) -> None:
    answer = testing.run(lambda _: nightcore.Reply(metadata={":status": sent}))
    assert answer.status == status


@pytest.mark.parametrize("status", [200, 204, 302, 399])
def test_a_status_below_400_raises_nothing(status: int) -> None:
    answer = answer_with(status, "x")
    assert answer.raise_for_status() is answer
    assert nightcore.Answer(b"x").raise_for_status() == b"x"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("no such user", "answered with HTTP status 404: no such user"),
        ("ü" * 300, "answered with HTTP status 404: " + "ü" * 200),
        ("", "answered with HTTP status 404"),
        (b"\xff\xfe", "answered with HTTP status 404"),
    ],
)
def test_a_status_of_400_or_more_raises(body: Any, message: str) -> None:
    answer = answer_with(404, body)
    with pytest.raises(nightcore.FunctionFailed) as raised:
        answer.raise_for_status()
    error = raised.value
    assert isinstance(error, nightcore.HttpStatusError)
    assert (error.function, error.message, error.causes) == ("Callee", message, ())
    assert error.status == "FUNCTION_FAILED"
    assert error.answer is answer


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))]
)
def test_errors_can_be_copied_and_pickled(copied: Any) -> None:
    with pytest.raises(nightcore.HttpStatusError) as raised:
        answer_with(404, "no such user").raise_for_status()
    error = copied(raised.value)
    assert type(error) is nightcore.HttpStatusError
    assert (str(error), error.function) == (str(raised.value), "Callee")
    assert (error.answer, error.answer.status) == (b"no such user", 404)
    other = copied(nightcore.HttpError(404, "x", {"a": "b"}))
    assert (other.status, other.body, other.metadata) == (404, "x", {"a": "b"})


@pytest.mark.parametrize(
    ("returned", "sent"),
    [
        ({"a": 1}, b'{"a":1}'),
        ([], b"[]"),
        ({}, b"{}"),
        (nightcore.Metadata({"a": "b"}), b'{"a":"b"}'),
    ],
)
def test_a_dict_or_a_list_is_json(returned: Any, sent: bytes) -> None:
    answer = testing.run(lambda _: returned)
    assert (answer, answer.metadata["content-type"]) == (sent, "application/json")


def test_none_is_sent_as_null_where_it_is_json() -> None:
    answer = testing.run(lambda _: nightcore.Reply(json=None))
    assert (answer, answer.metadata["content-type"]) == (b"null", "application/json")
    assert testing.run(lambda _: nightcore.Reply()) == b""

    def call(call: testing.Call) -> bytes:
        return call.body

    assert testing.run(lambda req: req.call("Bar", json=None), call=call) == b"null"
    assert testing.run(lambda req: req.call("Bar"), call=call) == b""


def test_text_of_metadata_that_are_not_utf8_can_be_sent() -> None:
    metadata = {"x-a": b"\xffa"}
    json = testing.run(lambda req: {"ü": req.metadata["x-a"]}, metadata=metadata)
    assert json.json() == {"ü": "\udcffa"}
    assert testing.run(lambda req: req.metadata["x-a"], metadata=metadata) == b"\xffa"
    with pytest.raises(UnicodeEncodeError):
        testing.run(lambda _: "\ud800")


@pytest.mark.parametrize(
    ("number", "name"), [("nan", "NaN"), ("inf", "Infinity"), ("-inf", "-Infinity")]
)
def test_json_has_no_such_number(number: str, name: str) -> None:
    with pytest.raises(ValueError, match=f"JSON has no {name}: send null"):
        testing.run(lambda _: {"a": [1, float(number)]})


def test_a_tuple_is_no_reply() -> None:
    with pytest.raises(TypeError, match=r"for an HTTP status return nightcore\.Reply\(body, stat"):
        testing.run(lambda _: ({"a": 1}, 201))  # type: ignore[arg-type]


def test_a_reply_has_a_body_or_json() -> None:
    with pytest.raises(TypeError, match="a body or json, not both"):
        nightcore.Reply(b"x", json=1)


def test_answers_share_no_metadata() -> None:
    answer = nightcore.Answer(b"x")
    answer.metadata.raw.append(("a", b"b"))
    assert nightcore.Answer(b"y").metadata.raw == answer.metadata.raw == []


def test_the_old_name_of_reply_is_deprecated() -> None:
    with pytest.warns(DeprecationWarning, match=r"nightcore\.Response is now nightcore\.Reply"):
        assert nightcore.Response is nightcore.Reply
    with pytest.raises(AttributeError, match="has no attribute 'Respond'"):
        nightcore.Respond  # type: ignore[attr-defined] # noqa: B018


def test_a_request_is_current_in_its_test_alone() -> None:
    with pytest.raises(LookupError, match="no request runs here"):
        nightcore.current_request()
    with testing.set_request(nightcore.Request) as request:
        assert nightcore.current_request() is request
        with pytest.raises(TypeError, match="is of Request, not of AsyncRequest"):
            nightcore.current_request(nightcore.AsyncRequest)
        with testing.set_request():
            asyncio.run(one_call())
        assert nightcore.current_request() is request
    with pytest.raises(LookupError):
        nightcore.current_request()


async def one_call() -> None:
    with pytest.raises(nightcore.NotFound):
        await nightcore.current_request().call("Bar")
