"""A FastAPI app that answers a POST with its body."""

from fastapi import FastAPI, Request, Response

app = FastAPI()


@app.post("/")
async def echo(request: Request) -> Response:
    return Response(await request.body())
