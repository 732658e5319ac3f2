"""Bodies that go on as they come, and so are not held against the memory of all bodies."""

from starlette.types import Scope

STREAMED = "mainstay.streamed"


def begin_streaming(scope: Scope) -> None:
    """Say that this request's body is kept nowhere in memory, however long it is.

    Its pace stays bounded, and so does what of it waits to be taken.
    """
    extension = (scope.get("extensions") or {}).get(STREAMED)
    if extension is not None:  # a server in a test has no such limit
        extension["begin"]()
