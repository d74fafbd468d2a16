"""A service of the app over grpcio, with aiohttp in its frontend; see ../README.md."""

import asyncio
import os
import sys

import grpc
from aiohttp import web
from google.protobuf.wrappers_pb2 import BytesValue

SERVICE, METHOD = "bench.App", "Call"


class Service:
    """Calls the services that it needs, one after the other."""

    def __init__(self, addresses: list[str]) -> None:
        self.next = [
            grpc.aio.insecure_channel(address).unary_unary(
                f"/{SERVICE}/{METHOD}",
                request_serializer=BytesValue.SerializeToString,
                response_deserializer=BytesValue.FromString,
            )
            for address in addresses
        ]

    async def call(self, body: BytesValue, _: object = None) -> BytesValue:
        for call in self.next:
            answer = await call(body)
            if len(answer.value) != len(body.value):
                raise ValueError("a service did not return the body that it was sent")
        return body

    async def respond(self, request: web.Request) -> web.Response:
        answer = await self.call(BytesValue(value=await request.read()))
        return web.Response(body=answer.value)


async def main(kind: str, addresses: list[str]) -> None:
    service = Service(addresses)
    port = int(os.environ["PORT"])
    if kind == "http":
        app = web.Application()
        app.router.add_post("/", service.respond)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        service.call,
        request_deserializer=BytesValue.FromString,
        response_serializer=BytesValue.SerializeToString,
    )
    generic = grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler})
    server.add_generic_rpc_handlers((generic,))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
