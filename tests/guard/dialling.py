"""Sockets that write down whom they are told to dial, and in place of the internet dial a server on loopback."""

import socket
from dataclasses import dataclass, field
from ipaddress import ip_address

from aiohttp import AddrInfoType


@dataclass(slots=True, kw_only=True)
class Dialled:
    """`internet` stands at every IPv4 address but loopback, which is dialled for real; nobody answers at the others."""

    internet: tuple[str, int] | None = None
    peers: list[str] = field(default_factory=list)

    def socket(self, info: AddrInfoType) -> socket.socket:
        family, kind, protocol, *_ = info
        return _Socket(family, kind, protocol, dialled=self)

    def instead_of(self, peer: tuple[str, int]) -> tuple[str, int]:
        self.peers.append(peer[0])
        address = ip_address(peer[0])
        if self.internet is None or address.version == 6:
            raise ConnectionRefusedError
        return peer if address.is_loopback else self.internet


class _Socket(socket.socket):
    def __init__(
        self,
        family: socket.AddressFamily | int,
        kind: socket.SocketKind | int,
        protocol: int,
        *,
        dialled: Dialled,
    ) -> None:
        super().__init__(family, kind, protocol)
        self._dialled = dialled

    def connect(self, address: object) -> None:
        assert isinstance(address, tuple)
        super().connect(self._dialled.instead_of((address[0], address[1])))
