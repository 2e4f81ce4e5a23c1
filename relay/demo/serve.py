"""An application as a process of its own, which says where it listens."""

import logging
import signal
import socket
import sys
from types import FrameType
from typing import Final, NoReturn

import orjson
import uvicorn
from starlette.types import ASGIApp

_BACKLOG: Final = 2048
_SECONDS_TO_FINISH: Final = 1


def serve(app: ASGIApp, *, host: str, port: int) -> NoReturn:
    """Serve until SIGTERM or SIGINT, then exit 0; port 0 takes a free one.

    Once connections are taken, stdout gets the one line `{"listening":"http://127.0.0.1:40123"}`.
    """
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(
            each, _leave
        )  # uvicorn hands a signal on to whoever had it before, once it has shut down
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            lifespan="off",
            log_config=None,
            log_level="error",
            timeout_graceful_shutdown=_SECONDS_TO_FINISH,
        )
    )
    # whoever still waits for an answer is cut off, and uvicorn would tell of each with a traceback
    logging.getLogger("uvicorn.error").addFilter(lambda _: not server.should_exit)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=_BACKLOG) as listener:
        name = f"[{host}]" if family is socket.AF_INET6 else host
        sys.stdout.write(
            orjson.dumps({"listening": f"http://{name}:{listener.getsockname()[1]}"}).decode() + "\n"
        )
        sys.stdout.flush()
        server.run(sockets=[listener])
    sys.exit(0)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)
