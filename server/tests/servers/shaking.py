"""A TLS server in a thread that shows what it is told to, at once or after a talk in the clear."""

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

HANG_SECONDS = 120.0


class Shaking:
    """Its port, and the certificate that it shows from the next handshake on."""

    def __init__(self, context: ssl.SSLContext, door: socket.socket) -> None:
        self.context = context
        self.port = int(door.getsockname()[1])

    def show(self, context: ssl.SSLContext) -> None:
        self.context = context


@contextmanager
def shaking(
    context: ssl.SSLContext,
    *,
    first: bytes = b"",
    answers: Mapping[bytes, bytes] | None = None,
    inside: Sequence[bytes] = (),
    inside_answers: Mapping[bytes, bytes] | None = None,
) -> Iterator[Shaking]:
    """Serve handshakes; with `answers` only after one of those packets was answered.

    `inside` is said within TLS, and what `inside_answers` knows is answered there.
    """
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(0.1)
        server = Shaking(context, door)

        def serve(peer: socket.socket) -> None:
            with peer, suppress(OSError):
                peer.settimeout(HANG_SECONDS)
                peer.sendall(first)
                if answers:
                    peer.sendall(answers[peer.recv(65_536)])
                with server.context.wrap_socket(peer, server_side=True) as secure:
                    for each in inside:
                        secure.sendall(each)
                    while heard := secure.recv(65_536):
                        secure.sendall((inside_answers or {}).get(heard, b""))

        def accept() -> None:
            while not over.is_set():
                with suppress(TimeoutError):
                    peer, _ = door.accept()
                    threading.Thread(target=serve, args=(peer,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            over.set()
            thread.join()
