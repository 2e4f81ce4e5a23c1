"""The command line."""

from relay.cli.operate import app


def main() -> None:
    app()
