"""The front of the HTTP server: ingest doors and plain routes, then the framework."""

from collections.abc import Mapping, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mainstay_server.kernel.area import Door, PlainRoute, PlainTree
from mainstay_server.kernel.problems import MethodNotAllowed, Problem
from mainstay_server.kernel.web import send_problem

from .limiting import DoorLimit

API = "/api/"


class Front:
    """Sends `/api/{number}/…` straight to its door; a number is what only SDKs put there."""

    def __init__(
        self,
        doors: Mapping[str, Door],
        app: ASGIApp,
        plain_routes: Sequence[PlainRoute] = (),
        limit: DoorLimit | None = None,
        plain_trees: Sequence[PlainTree] = (),
    ) -> None:
        self._doors = doors
        self._limit = limit
        self._app = app
        self._plain_routes = {route.path: route for route in plain_routes}
        self._below = {path: r for path, r in self._plain_routes.items() if path.endswith("/")}
        self._plain_trees = tuple(plain_trees)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        tree = self._tree_of(scope)
        if tree is not None:
            await tree.app(scope, receive, send, self._go_on)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith(API):
                number, _, rest = path[len(API) :].partition("/")
                if number.isascii() and number.isdigit() and len(number) < len("2147483648"):
                    door = self._door_to(rest)
                    if door is not None:
                        await self._enter(door, int(number), scope, receive, send)
                        return
            route = self._plain_routes.get(path) or self._route_above(path)
            if route is not None:
                await self._ask(route, scope, receive, send)
                return
        await self._go_on(scope, receive, send)

    async def _go_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the framework answer."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            await self._app({**scope, "method": "GET"}, receive, _without_body(send))
            return
        await self._app(scope, receive, send)

    def _door_to(self, rest: str) -> Door | None:
        door = self._doors.get(rest if rest.endswith("/") else rest + "/")
        if door is None:
            first = self._doors.get(rest.partition("/")[0] + "/")
            door = first if first is not None and first.takes_rest else None
        return door

    def _route_above(self, path: str) -> PlainRoute | None:
        return next((r for below, r in self._below.items() if path.startswith(below)), None)

    def _tree_of(self, scope: Scope) -> PlainTree | None:
        if scope["type"] != "http":
            return None
        for tree in self._plain_trees:
            if scope["path"].startswith(tree.prefix):
                return tree
            hosts = tree.hosts()
            if hosts and _host_of(scope) in hosts:
                return tree
        return None

    async def _enter(
        self, door: Door, number: int, scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            if self._limit is not None:
                await self._limit.refuse_fast(scope, number)
            await door.app(scope, receive, send, number)
        except Problem as problem:
            headers = {"access-control-allow-origin": "*"}
            if isinstance(problem, MethodNotAllowed):
                headers["allow"] = "POST"
            await send_problem(send, problem, path=scope["path"], headers=headers)

    async def _ask(self, route: PlainRoute, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await route.app(scope, receive, send)
        except Problem as problem:
            await send_problem(send, problem, path=scope["path"])


def _host_of(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"host":
            host: str = value.decode("latin-1")
            return host.partition(":")[0].rstrip(".").lower()
    return ""


def _without_body(send: Send) -> Send:
    """What HEAD gets: the head of the answer to GET, as uptime monitors ask for it."""

    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head
