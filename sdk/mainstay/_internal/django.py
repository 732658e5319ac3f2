"""Let Django tell which of its routes answers."""

import sys
from typing import Any

from mainstay._internal.routes import Seen
from mainstay._internal.shield import SHIELD

_KEY = "mainstay"


def watch_routes(app: object) -> bool:
    """Listen to Django's URL resolver if Django is loaded; return whether the app is Django's.

    Neither the response nor the environ lead to the request that Django resolved, and its
    signals cost a thread hop under ASGI. So the one method that resolves is wrapped, once per
    process; it notes the route where the wrapper of the same request finds it.
    """
    base = sys.modules.get("django.core.handlers.base")
    if base is None:
        return False
    handler: Any = base.BaseHandler
    if not hasattr(handler.resolve_request, "watched_by_mainstay"):
        _watch(handler)
    return isinstance(app, handler)


def _watch(handler: Any) -> None:  # noqa: ANN401 - Django is not installed for everybody
    resolve = handler.resolve_request

    def resolve_request(self: object, request: Any) -> Any:  # noqa: ANN401 - as above
        seen = None
        with SHIELD:
            seen = _find_seen(request)
            if seen is not None:
                seen.routed = True
        match = resolve(self, request)
        with SHIELD:
            if seen is not None:
                seen.route = "/" + match.route.lstrip("^/")
        return match

    resolve_request.watched_by_mainstay = True  # type: ignore[attr-defined]  # a mark, not an API
    handler.resolve_request = resolve_request


def _find_seen(request: Any) -> Seen | None:  # noqa: ANN401 - as above
    carrier = getattr(request, "environ", None) or getattr(request, "scope", None) or {}
    seen = carrier.get(_KEY)
    return seen if isinstance(seen, Seen) else None
