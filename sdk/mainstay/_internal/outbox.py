"""What the sender needs to know of the things that wait to be sent."""

from typing import Protocol


class Parcel(Protocol):
    """Some of what waits, on its way to the server."""

    def encode(self, sent_at: float) -> bytes:
        """Return the message as JSON; ``sent_at`` in Unix seconds."""

    def put_back(self) -> None:
        """Undo the taking, because it could not be delivered, as far as there is still room."""

    def give_up(self) -> None:
        """Count what is in it as dropped, because the server will never take it."""


class Outbox(Protocol):
    """A bounded store of one kind of things for one door of the server.

    ``name`` is what a warning calls them, ``path`` is the door, and ``headers`` say who sends.
    """

    @property
    def name(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def headers(self) -> dict[str, str]: ...

    def __len__(self) -> int: ...

    def take(self) -> Parcel:
        """Take the oldest out, as many as one message may carry."""
