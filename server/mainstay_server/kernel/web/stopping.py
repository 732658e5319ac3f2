"""The word that the server is to stop: what keeps a question open ends it then, and not later."""

from collections.abc import Callable

_told: list[Callable[[], None]] = []


def when_stopping(call: Callable[[], None]) -> Callable[[], None]:
    """Have something called, on the event loop, once the server is asked to end; how to undo it."""
    _told.append(call)

    def forget() -> None:
        if call in _told:
            _told.remove(call)

    return forget


def tell_stopping() -> None:
    """Say that the server is asked to end."""
    for call in tuple(_told):
        call()
