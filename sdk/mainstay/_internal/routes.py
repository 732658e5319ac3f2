"""The name a request is counted under: a route template, so that there are few of them."""

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

UNMATCHED = "(unmatched)"
_LONGEST = 200
_ID_SEGMENT = re.compile(
    r"[0-9]+"
    r"|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
    r"|[0-9a-fA-F]{16,}"
)


class Seen:
    """What a framework told us about a request while it ran.

    It travels in the ASGI scope or the WSGI environ under the key ``mainstay``. An object and
    not a plain value, because some frameworks copy the scope, and a copy still holds this.
    """

    __slots__ = ("route", "routed")

    def __init__(self, *, routed: bool) -> None:
        self.routed = routed  # a framework we know decides about paths here
        self.route: str | None = None


def without_ids(path: str) -> str:
    """Return a raw path with numbers, UUIDs and long hex segments replaced by ``{id}``."""
    # Cut first as well, so that a path of a megabyte costs as little as a short one.
    segments = path[: 4 * _LONGEST].split("/")
    return cut("/".join("{id}" if _ID_SEGMENT.fullmatch(s) else s for s in segments)) or "/"


def cut(path: str) -> str:
    """Return the path at its greatest length."""
    return path[:_LONGEST]


def asgi_path(scope: MutableMapping[str, Any], seen: Seen) -> str:
    """Return the template of the route that answered, else ``(unmatched)``.

    Only an app whose framework is not known is counted under its raw path, without ids.
    """
    if seen.route is not None:
        return cut(seen.route)
    if "app" not in scope and "router" not in scope:
        return UNMATCHED if seen.routed else without_ids(scope["path"])
    return _starlette_path(scope)


def _starlette_path(scope: MutableMapping[str, Any]) -> str:
    route = scope.get("route")
    # A Route has methods, a Mount has none; FastAPI does not set a Mount as the route at all.
    if hasattr(route, "methods"):
        if "app_root_path" not in scope and "fastapi" not in scope:
            # Neither mounted nor included, as most routes of most apps.
            return cut(getattr(route, "path_format", ""))
        route = _as_included(scope, route)
        params = getattr(route, "param_convertors", {})
        return cut(_mounted_under(scope, params) + getattr(route, "path_format", ""))
    if "endpoint" not in scope:
        return UNMATCHED
    if route is None and "router" in scope:
        # Starlette before 1.0 names only the endpoint, and FastAPI does not name its mounts.
        found = _template_of_endpoint(scope)
        if found is not None:
            return cut(found)
    if hasattr(scope["endpoint"], "routes"):
        return UNMATCHED
    return cut(_mounted_under(scope, {}) + "/{path}")


def _template_of_endpoint(scope: MutableMapping[str, Any]) -> str | None:
    """Return the template of the route that leads to the endpoint and fits the path."""
    root = scope.get("root_path", "")
    consumed = root.removeprefix(scope.get("app_root_path", root))
    own_path = scope["path"].removeprefix(root)
    pending = [("", route) for route in reversed(scope["router"].routes)]
    while pending:
        above, route = pending.pop()
        template = above + getattr(route, "path_format", "")
        inner = getattr(route, "routes", None) or ()
        pending.extend((template.removesuffix("/{path}"), below) for below in reversed(inner))
        if (
            hasattr(route, "methods")
            and route.endpoint is scope["endpoint"]
            and _fits(above, consumed)
            and route.path_regex.match(own_path)
        ):
            return template
    return None


def _fits(template: str, path: str) -> bool:
    """Whether the path has the template's segments, with anything for its parameters."""
    expected, found = template.split("/"), path.split("/")
    return len(expected) == len(found) and all(
        e == f or e.startswith("{") for e, f in zip(expected, found, strict=True)
    )


def _as_included(scope: MutableMapping[str, Any], route: object) -> object:
    """Return FastAPI's view of a route with the prefixes of all routers that include it."""
    context = scope.get("fastapi", {}).get("effective_route_context")
    return context if getattr(context, "original_route", None) is route else route


def _mounted_under(scope: MutableMapping[str, Any], own_params: Mapping[str, object]) -> str:
    """Return the template of the mounts above a route.

    A mount leaves no trace of its template, only the path it consumed and the values of its
    parameters: a segment that equals such a value was that parameter.
    """
    if "app_root_path" not in scope:
        return ""
    consumed = scope.get("root_path", "").removeprefix(scope["app_root_path"])
    names = {
        str(value): name
        for name, value in scope.get("path_params", {}).items()
        if name not in own_params
    }
    segments = ("{" + names[s] + "}" if s in names else s for s in consumed.split("/"))
    return without_ids("/".join(segments)) if consumed else ""
