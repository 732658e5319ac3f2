"""A TCP server that says what it is told to: at once, in answer, or never."""

import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

HANG_SECONDS = 120.0


@contextmanager
def talking(
    says: Sequence[bytes],
    *,
    answers: Mapping[bytes, bytes] | None = None,
    then_close: bool = False,
) -> Iterator[int]:
    """Its port. It says all of `says`, then answers each packet it knows, and waits."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(0.1)

        def serve(peer: socket.socket) -> None:
            with peer, suppress(OSError):
                peer.settimeout(HANG_SECONDS)
                for each in says:
                    peer.sendall(each)
                while not then_close and (heard := peer.recv(65_536)):
                    peer.sendall((answers or {}).get(heard, b""))

        def accept() -> None:
            while not over.is_set():
                with suppress(TimeoutError):
                    peer, _ = door.accept()
                    threading.Thread(target=serve, args=(peer,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield int(door.getsockname()[1])
        finally:
            over.set()
            thread.join()
