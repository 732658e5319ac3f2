"""A TCP proxy that counts what clients send, and can hold it back from a byte on."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


class CountingProxy:
    """`sent_bytes` came from clients; after `hold_after` bytes nothing more is taken from them."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.sent_bytes = 0
        self.hold_after = 1 << 62
        self.holding = threading.Event()
        self._target = target
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            for source, sink, counts in ((client, server, True), (server, client, False)):
                threading.Thread(
                    target=self._carry, args=(source, sink), kwargs={"counts": counts}, daemon=True
                ).start()

    def _carry(self, source: socket.socket, sink: socket.socket, *, counts: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                if counts:
                    with self._lock:
                        self.sent_bytes += len(piece)
                        held = self.sent_bytes > self.hold_after
                    if held:
                        self.holding.set()
                        return
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def counting_proxy(url: str) -> Iterator[CountingProxy]:
    """A proxy before the server of a URL."""
    parts = urlsplit(url)
    proxy = CountingProxy((str(parts.hostname), int(parts.port or 80)))
    try:
        yield proxy
    finally:
        proxy.close()
