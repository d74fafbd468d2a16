"""A notes app in FastAPI, which runs as a server by `uvicorn app:app` or as a function."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Form, HTTPException, Query, Request, Response
from fastapi.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from pydantic import BaseModel


class NewNote(BaseModel):
    text: str
    tags: list[str] = []


@asynccontextmanager
async def lifespan(app: FastAPI) -> Any:
    app.state.notes = {}
    yield


app = FastAPI(lifespan=lifespan)


def base(request: Request) -> str:
    return str(request.scope.get("root_path", ""))


@app.get("/", response_class=HTMLResponse)
async def index(request: Request) -> str:
    items = "".join(f"<li>{note['text']}</li>" for note in request.app.state.notes.values())
    return f"<h1>Notes</h1><ul>{items}</ul>"


@app.get("/notes")
async def notes(
    request: Request, tag: Annotated[list[str] | None, Query()] = None
) -> list[dict[str, Any]]:
    wanted = set(tag or [])
    return [note for note in request.app.state.notes.values() if wanted <= set(note["tags"])]


@app.post("/notes", status_code=201)
async def create(request: Request, response: Response, new: NewNote) -> dict[str, Any]:
    kept = request.app.state.notes
    note = {"id": len(kept) + 1, "text": new.text, "tags": new.tags}
    kept[note["id"]] = note
    response.headers["location"] = f"{base(request)}/notes/{note['id']}"
    return note


@app.get("/notes/{number}")
async def show(request: Request, number: int) -> dict[str, Any]:
    if number not in request.app.state.notes:
        raise HTTPException(404, "no such note")
    return dict(request.app.state.notes[number])


@app.delete("/notes/{number}", status_code=204)
async def delete(request: Request, number: int) -> None:
    request.app.state.notes.pop(number, None)


@app.post("/login")
async def login(request: Request, name: Annotated[str, Form()]) -> RedirectResponse:
    response = RedirectResponse(f"{base(request)}/me", 303)
    response.set_cookie("session", "s3cret", httponly=True)
    response.set_cookie("name", name)
    return response


@app.get("/me")
async def me(request: Request) -> PlainTextResponse:
    name = request.cookies.get("name")
    return PlainTextResponse(name) if name else PlainTextResponse("who are you?", 401)


@app.get("/inspect/{rest:path}")
async def inspect(request: Request, rest: str) -> dict[str, Any]:
    return {
        "method": request.method,
        "rest": rest,
        "query": request.url.query,
        "many": request.headers.getlist("x-many"),
        "host": request.headers.get("host"),
    }


@app.api_route("/inspect-body", methods=["POST", "PUT", "PATCH"])
async def inspect_body(request: Request) -> dict[str, Any]:
    body = await request.body()
    return {
        "length": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "type": request.headers.get("content-type"),
    }


@app.get("/bytes/{count}")
async def some_bytes(count: int) -> Response:
    return Response(bytes(i % 251 for i in range(count)), media_type="application/octet-stream")


@app.get("/stream")
async def stream() -> StreamingResponse:
    def lines() -> Iterator[str]:
        yield from ("one\n", "two\n", "three\n")

    return StreamingResponse(lines(), media_type="text/plain")


@app.get("/status/{code}")
async def status(code: int) -> PlainTextResponse:
    return PlainTextResponse(str(code), code)


@app.get("/boom")
async def boom() -> None:
    raise RuntimeError("boom")


@app.post("/upper")
async def upper(request: Request) -> Response:
    nightcore = request.scope.get("extensions", {}).get("nightcore")
    if nightcore is None:
        return JSONResponse({"detail": "this is not a function of Nightcore"}, 503)
    return PlainTextResponse(bytes(await nightcore["request"].call("Upper", await request.body())))


if __name__ == "__main__":
    import nightcore

    nightcore.serve(nightcore.asgi(app))
