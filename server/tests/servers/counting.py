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
        self._open: list[socket.socket] = []
        self._carriers: list[threading.Thread] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """End every connection, and leave no socket behind."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for carrier in self._carriers:
            carrier.join()
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._open += [client, server]
            for source, sink, counts in ((client, server, True), (server, client, False)):
                carrier = threading.Thread(
                    target=self._carry, args=(source, sink), kwargs={"counts": counts}, daemon=True
                )
                self._carriers.append(carrier)
                carrier.start()

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
