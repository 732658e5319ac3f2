"""One caller makes a value, the others wait for it, whether they are threads or coroutines."""

import threading
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any, Final

_FAILED: Final = object()
_making: ContextVar["frozenset[tuple[int, str]]"] = ContextVar("making", default=frozenset())


class Flights:
    """Who is making which value at this moment, in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[str, Future[Any]] = {}

    def join(self, key: str) -> "tuple[Future[Any], bool]":
        """Return the making of a value, and whether the caller is the one who makes it.

        A caller that is making this very value already (a function that calls itself) does not
        wait for itself.
        """
        if self.is_made_here(key):
            return Future(), True
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None:
                return flight, False
            flight = self._flights[key] = Future()
            return flight, True

    def is_made_here(self, key: str) -> bool:
        """Whether this very context makes the value at this moment."""
        return (id(self), key) in _making.get()

    def land(self, key: str, flight: "Future[Any]") -> None:
        """End the making; whoever waits goes on."""
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]
        if not flight.done():
            # Whoever made it was cancelled: that is no reason for the others to be.
            flight.set_result(_FAILED)

    def mark(self, key: str) -> Any:  # noqa: ANN401 - a token of contextvars
        """Note in this context that it makes the value."""
        return _making.set(_making.get() | {(id(self), key)})

    def unmark(self, token: Any) -> None:  # noqa: ANN401 - a token of contextvars
        """Undo `mark`."""
        _making.reset(token)


def came_to_nothing(result: object) -> bool:
    """Whether the one who made the value gave up without a value or an error."""
    return result is _FAILED
