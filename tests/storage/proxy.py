"""A proxy that harms what passes through it: connections end in the middle, answers come late or are errors."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
FAULTS = ("none", "cut request", "cut answer", "no answer", "error", "slow")


class Proxy:
    """Listens on 127.0.0.1, and does to each connection what a dice says; `kill` ends all of them at once.

    Parameters
    ----------
    server : str
        Address of the server behind it.
    faults : tuple of str
        Some of FAULTS.
    """

    def __init__(self, server: str, faults: tuple[str, ...], seed: int = 0) -> None:
        parts = urlsplit(server)
        self.server = (str(parts.hostname), int(parts.port or 80))
        self.faults = faults
        self.dice = random.Random(seed)
        self.counts = dict.fromkeys(FAULTS, 0)
        self.answered = 0
        self.port = 0
        self.connections: list[socket.socket] = []
        self.threads: list[threading.Thread] = []
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the same port as before."""
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def kill(self) -> None:
        """End all connections where they are, and listen no more."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            reset(connection)
        self.connections.clear()
        end = time.monotonic() + 5
        for thread in self.threads:
            thread.join(max(0.0, end - time.monotonic()))
        self.threads.clear()

    def accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            fault = self.dice.choice(self.faults)
            self.counts[fault] += 1
            # Few bytes are within the head of a request or an answer, many are within a part.
            budget = self.dice.choice((50, 500, 5_000, 50_000))
            thread = threading.Thread(target=self.serve, args=(listener, client, fault, budget), daemon=True)
            thread.start()
            self.threads.append(thread)

    def serve(self, listener: socket.socket, client: socket.socket, fault: str, budget: int) -> None:
        if fault == "error":
            with suppress(OSError):
                client.recv(2**16)
                client.sendall(ERROR)
            client.close()
            return
        if fault == "slow":
            time.sleep(0.3)
        with suppress(OSError):
            server = socket.create_connection(self.server)
            self.connections += [client, server]
            if listener is not self.listener or listener.fileno() < 0:
                # Killed since it was accepted.
                reset(client)
                reset(server)
            most = {"cut answer": budget, "no answer": 0}.get(fault)
            answering = threading.Thread(target=self.answer, args=(server, client, most), daemon=True)
            answering.start()
            relay(client, server, budget if fault == "cut request" else None)
            answering.join()
            server.close()
        client.close()

    def answer(self, server: socket.socket, client: socket.socket, most: int | None) -> None:
        """Pass answers on, and count their bytes."""
        count = relay(server, client, most)
        self.answered += count


def relay(source: socket.socket, target: socket.socket, most: int | None) -> int:
    """Pass bytes on, at most so many; then both ends are cut. Count them."""
    count = 0
    try:
        while data := source.recv(2**16):
            count += len(data)
            if most is not None and len(data) > most:
                target.sendall(data[:most])
                reset(source)
                reset(target)
                return count
            target.sendall(data)
            most = None if most is None else most - len(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for each in (source, target):
            with suppress(OSError):
                each.close()
    return count


def reset(connection: socket.socket) -> None:
    """End a connection as a cable that is pulled out would."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
