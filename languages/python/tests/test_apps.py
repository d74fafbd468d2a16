"""Tests that an app finds its request in any thread in which a test client runs it."""

from __future__ import annotations

import nightcore
from fastapi import FastAPI
from fastapi.testclient import TestClient
from flask import Flask
from nightcore import testing

fast = FastAPI()
flask = Flask(__name__)


@fast.get("/hello/{name}")
async def hello(name: str) -> dict[str, str]:
    upper = await nightcore.current_request().call("Upper", name)
    return {"hello": upper.text()}


@flask.get("/hello/<name>")
def hello_flask(name: str) -> dict[str, str]:
    return {"hello": nightcore.current_request().call("Upper", name).text()}


def upper(call: testing.Call) -> bytes:
    assert call.function == "Upper"
    return call.body.upper()


def test_a_fastapi_app_finds_a_request(nightcore_request: testing.SetRequest) -> None:
    nightcore_request(call=upper)
    assert TestClient(fast).get("/hello/ada").json() == {"hello": "ADA"}


def test_a_flask_app_finds_a_request(nightcore_request: testing.SetRequest) -> None:
    nightcore_request(nightcore.Request, call=upper)
    assert flask.test_client().get("/hello/ada").json == {"hello": "ADA"}
