"""Ask Flask which of its routes answered."""

from typing import Any

from mainstay._internal.routes import Seen


def find_routing(app: object) -> Any:  # noqa: ANN401 - a werkzeug Map, and werkzeug may be absent
    """Return Flask's URL map for a Flask app or its ``wsgi_app``, else None."""
    return getattr(app, "url_map", None) or getattr(getattr(app, "__self__", None), "url_map", None)


def route_of_current(environ: dict[str, Any], seen: Seen) -> str | None:
    """Return the route of the request that Flask answers right now, else None."""
    request: Any = environ.get("werkzeug.request")
    if not hasattr(request, "url_rule"):
        return None
    seen.routed = True
    return None if request.url_rule is None else str(request.url_rule.rule)


def route_of_raised(routing: Any, environ: dict[str, Any]) -> str | None:  # noqa: ANN401 - as above
    """Return the route of a request whose exception Flask let through, else None.

    Flask lets exceptions through only in debug and test mode, and has then forgotten the request
    already, so its map is asked once more.
    """
    if routing is None:
        return None
    rule, _ = routing.bind_to_environ(environ).match(return_rule=True)
    return str(rule.rule)
