"""The least that a Starlette route can be: a fixed JSON answer to a POST, behind uvicorn as the relay sets it up."""

import socket
import sys
from typing import Final

import orjson
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

BACKLOG: Final = 2048


async def accepted(request: Request) -> Response:
    await request.body()
    return Response(b'{"accepted":true}', 201, media_type="application/json")


async def main() -> None:
    app = Starlette(routes=[Route("/v1/registrations", accepted, methods=["POST"])])
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
        port = listener.getsockname()[1]
        sys.stdout.write(orjson.dumps({"listening": f"http://127.0.0.1:{port}"}).decode() + "\n")
        sys.stdout.flush()
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    uvloop.run(main())
