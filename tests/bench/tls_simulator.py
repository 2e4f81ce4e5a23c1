"""The simulator behind TLS, as CAMB itself is: `python -m tests.bench.tls_simulator CERTIFICATE KEY`."""

import random
import socket
import sys

import orjson
import uvicorn

from relay.clock import system_clock
from relay.demo.simulator import create_simulator

BACKLOG = 2048


def main() -> None:
    certificate, key = sys.argv[1:]
    app = create_simulator(now=system_clock().wall, rng=random.SystemRandom())
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
        port = listener.getsockname()[1]
        sys.stdout.write(orjson.dumps({"listening": f"https://127.0.0.1:{port}"}).decode() + "\n")
        sys.stdout.flush()
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
