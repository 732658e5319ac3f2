"""A UDP server in a thread that answers each packet as a function tells it to."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def packets(answer: Callable[[bytes], bytes | None]) -> Iterator[int]:
    """Its port; None answers nothing."""
    over = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind(("127.0.0.1", 0))
        door.settimeout(0.1)

        def serve() -> None:
            while not over.is_set():
                with suppress(TimeoutError):
                    packet, peer = door.recvfrom(65_536)
                    said = answer(packet)
                    if said is not None:
                        door.sendto(said, peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(door.getsockname()[1])
        finally:
            over.set()
            thread.join()
