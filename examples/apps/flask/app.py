"""A notes app in Flask, which runs as a server by `gunicorn app:app` or as a function."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, abort, jsonify, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

app = Flask(__name__)
kept: dict[int, dict[str, Any]] = {}


@app.get("/")
def index() -> str:
    items = "".join(f"<li>{note['text']}</li>" for note in kept.values())
    return f"<h1>Notes</h1><ul>{items}</ul>"


@app.get("/notes")
def notes() -> Response:
    wanted = set(request.args.getlist("tag"))
    return jsonify([note for note in kept.values() if wanted <= set(note["tags"])])


@app.post("/notes")
def create() -> tuple[Response, int, dict[str, str]]:
    new = request.get_json()
    note = {"id": len(kept) + 1, "text": new["text"], "tags": new.get("tags", [])}
    kept[len(kept) + 1] = note
    return jsonify(note), 201, {"location": url_for("show", number=note["id"])}


@app.get("/notes/<int:number>")
def show(number: int) -> Response:
    if number not in kept:
        abort(Response('{"detail":"no such note"}', 404, content_type="application/json"))
    return jsonify(kept[number])


@app.delete("/notes/<int:number>")
def delete(number: int) -> tuple[str, int]:
    kept.pop(number, None)
    return "", 204


@app.post("/login")
def login() -> BaseResponse:
    response = redirect(url_for("me"), 303)
    response.set_cookie("session", "s3cret", httponly=True)
    response.set_cookie("name", request.form["name"])
    return response


@app.get("/me")
def me() -> tuple[str, int]:
    name = request.cookies.get("name")
    return (name, 200) if name else ("who are you?", 401)


@app.get("/inspect/")
@app.get("/inspect/<path:rest>")
def inspect(rest: str = "") -> Response:
    return jsonify(
        method=request.method,
        rest=rest,
        query=request.query_string.decode(),
        many=request.headers.getlist("x-many"),
        host=request.headers.get("host"),
    )


@app.route("/inspect-body", methods=["POST", "PUT", "PATCH"])
def inspect_body() -> Response:
    body = request.get_data()
    return jsonify(
        length=len(body), sha256=hashlib.sha256(body).hexdigest(), type=request.content_type
    )


@app.get("/bytes/<int:count>")
def some_bytes(count: int) -> Response:
    return Response(bytes(i % 251 for i in range(count)), mimetype="application/octet-stream")


@app.get("/stream")
def stream() -> Response:
    def lines() -> Iterator[str]:
        yield from ("one\n", "two\n", "three\n")

    return Response(lines(), mimetype="text/plain")


@app.get("/status/<int:code>")
def status(code: int) -> tuple[str, int]:
    return str(code), code


@app.get("/boom")
def boom() -> str:
    raise RuntimeError("boom")


@app.post("/upper")
def upper() -> tuple[bytes, int]:
    nightcore = request.environ.get("nightcore.request")
    if nightcore is None:
        return b"this is not a function of Nightcore", 503
    return bytes(nightcore.call("Upper", request.get_data())), 200


if __name__ == "__main__":
    import nightcore

    nightcore.serve(nightcore.wsgi(app))
