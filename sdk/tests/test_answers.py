"""Kept answers by the rules of HTTP: what is kept, for whom, how long, and never mixed up."""

import asyncio
import http.client
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import mainstay
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainstay._internal.clock import Clock
from mainstay._internal.responses.rules import Answer, directives, matches, vary_of
from mainstay.cache import Cache, ResponseCache, keep, kept
from tests.app_servers import PATIENCE_SECONDS, eventually, served_asgi, served_wsgi
from tests.guarding import READER, Told, asked_asgi, asked_wsgi, bearer, golden

NOON = 1_795_230_000.0
Says = Callable[[Mapping[str, str]], tuple[int, dict[str, str], str]]


@dataclass
class Site:
    """An app of either kind that counts how often it was asked, and the time around it."""

    kind: str
    says: Says
    options: dict[str, Any] = field(default_factory=dict)
    cache: Cache | None = None
    now: float = NOON
    asked: int = 0

    def __post_init__(self) -> None:
        clock = Clock(wall=lambda: self.now)
        self.cache = self.cache or Cache(clock=clock)
        self.responses = ResponseCache(self.cache, **self.options)
        self.app = self.responses(self._asgi_app if self.kind == "asgi" else self._wsgi_app)

    async def _asgi_app(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        status, said, body = self.says({**headers, ":method": scope["method"]})
        encoded = [(n.encode(), v.encode()) for n, v in self._with_length(said, body).items()]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body.encode()})

    def _wsgi_app(self, environ: Any, start_response: Any) -> list[bytes]:
        self.asked += 1
        headers = {
            name[5:].lower().replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        status, said, body = self.says({**headers, ":method": environ["REQUEST_METHOD"]})
        start_response(f"{status} Status", list(self._with_length(said, body).items()))
        return [body.encode()]

    def _with_length(self, said: dict[str, str], body: str) -> dict[str, str]:
        return {**said, "content-length": str(len(body.encode()))}

    def ask(
        self, path: str = "/a", method: str = "GET", *, after: float = 0, **headers: str
    ) -> Told:
        self.now += after
        ask = asked_asgi if self.kind == "asgi" else asked_wsgi
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        told = ask(
            self.app, path, method=method, peer="203.0.113.9", headers={"host": "shop", **named}
        )
        # As a cache on the way would: a kept answer comes after a moment, not in the same.
        self.now += 0.001
        return told


each = pytest.mark.parametrize("kind", ["asgi", "wsgi"])


def says(cache_control: str = "max-age=60", status: int = 200, **headers: str) -> Says:
    counted = iter(range(1, 1_000_000))
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def say(_request: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        said = {"cache-control": cache_control} if cache_control else {}
        return status, {**said, **named}, f"answer {next(counted)}"

    return say


@each
def test_an_answer_is_kept_for_as_long_as_it_says(kind: str) -> None:
    site = Site(kind, says("max-age=60"))
    first, second = site.ask(), site.ask(after=30)
    third = site.ask(after=31)

    assert (first.body, second.body, third.body) == (b"answer 1", b"answer 1", b"answer 2")
    assert first.headers["cache-status"] == "mainstay; fwd=uri-miss; stored"
    assert second.headers["cache-status"] == "mainstay; hit; ttl=29"
    assert second.headers["age"] == "30"
    assert second.headers["cache-control"] == "max-age=60"
    assert second.headers["etag"] == first.headers["etag"]
    assert second.headers["content-length"] == "8"


@each
@pytest.mark.parametrize(
    "say",
    [
        says(""),
        says("private, max-age=60"),
        says("no-store, max-age=60"),
        says("max-age=60, no-cache"),
        says('private="set-cookie", max-age=60'),
        says("max-age=0"),
        says("max-age=-1"),
        says("max-age=soon"),
        says("s-maxage=0, max-age=60"),
        says("public"),
        says("max-age=60", set_cookie="session=1"),
        says("max-age=60", vary="*"),
        says("max-age=60", vary="Accept, *"),
        says("max-age=60", age="61"),
        says("max-age=60", access_control_allow_origin="https://one.example"),
        says("max-age=60", status=500),
        says("max-age=60", status=403),
        says("max-age=60", status=302),
    ],
)
def test_what_may_not_be_kept_is_not(kind: str, say: Says) -> None:
    site = Site(kind, say)

    assert site.ask().body != site.ask().body
    assert site.asked == 2


@each
@pytest.mark.parametrize("status", [200, 301, 308, 404, 410])
def test_lasting_answers_are_kept_when_they_say_so(kind: str, status: int) -> None:
    site = Site(kind, says("s-maxage=60, max-age=0", status=status))

    assert [site.ask().status for _ in range(3)] == [status] * 3
    assert site.asked == 1


CREDENTIALS = [
    {"authorization": "Bearer alice"}, {"cookie": "session=alice"}, {"x-api-key": "alice"}
]  # fmt: skip


@each
@pytest.mark.parametrize("credential", CREDENTIALS, ids=str)
def test_the_answer_of_one_person_is_never_given_to_another(
    kind: str, credential: dict[str, str]
) -> None:
    (name,) = credential

    def say(request: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        return 200, {"cache-control": "max-age=60"}, f"for {request.get(name, 'nobody')}"

    site = Site(kind, say)
    said = [
        site.ask(**who).body.decode()  # type: ignore[arg-type]  # headers only
        for who in (credential, {name: "bob"}, {}, {name: "bob"}, credential, {})
    ]

    assert said == [
        f"for {credential[name]}", "for bob", "for nobody", "for bob",
        f"for {credential[name]}", "for nobody",
    ]  # fmt: skip
    assert site.asked == 5, "nobody's is kept"


@each
@pytest.mark.parametrize("credential", CREDENTIALS, ids=str)
@pytest.mark.parametrize("cache_control", ["public, max-age=60", "s-maxage=60"])
def test_what_is_for_everybody_is_kept_for_everybody(
    kind: str, credential: dict[str, str], cache_control: str
) -> None:
    site = Site(kind, says(cache_control))

    assert site.ask(**credential).body == site.ask().body == b"answer 1"  # type: ignore[arg-type]  # as above


@each
def test_a_header_of_the_apps_own_may_tell_who_is_asking(kind: str) -> None:
    site = Site(kind, says("max-age=60"), options={"credentials": ["X-Customer"]})

    site.ask(x_customer="alice")
    assert site.ask(x_customer="bob").body == b"answer 2"


@each
def test_each_cookie_has_its_own_answer_when_it_varies_with_cookies(kind: str) -> None:
    def say(request: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        return 200, {"cache-control": "max-age=60", "vary": "Cookie"}, request.get("cookie", "none")

    site = Site(kind, say)
    said = [site.ask(**who).body for who in ({"cookie": "a"}, {"cookie": "b"}, {}) * 2]  # type: ignore[arg-type]  # as above

    assert said == [b"a", b"b", b"none"] * 2
    assert site.asked == 3


@each
def test_an_answer_varies_with_what_it_says_and_with_nothing_else(kind: str) -> None:
    def say(request: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        headers = {"cache-control": "max-age=60", "vary": "Accept-Language, accept-encoding"}
        return 200, headers, request.get("accept-language", "")

    site = Site(kind, say)
    said = [
        site.ask(accept_language=language, user_agent=str(n)).body.decode()
        for n, language in enumerate(("de", "fr", "de", "fr", "de,  fr", "de, fr"))
    ]

    assert said == ["de", "fr", "de", "fr", "de,  fr", "de,  fr"]
    assert site.asked == 3


@each
@pytest.mark.parametrize(
    "header",
    [
        "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-prefix", "x-host",
        "host", "forwarded", "x-original-url", "x-rewrite-url", "x-http-method-override",
    ],
)  # fmt: skip
def test_an_answer_cannot_be_poisoned_by_what_an_app_reads_unsaid(kind: str, header: str) -> None:
    def say(request: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        return 200, {"cache-control": "public, max-age=60"}, request.get(header, "")

    site = Site(kind, say)
    evil = "host=evil.example;for=1.2.3.4" if header == "forwarded" else "evil.example"
    site.ask(**{header: evil})  # type: ignore[arg-type]  # as above

    assert "evil" not in site.ask().body.decode()


@each
def test_another_query_another_spelling_and_a_body_are_other_questions(kind: str) -> None:
    counted = iter(range(100))

    def say(_request: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        return 200, {"cache-control": "max-age=60"}, str(next(counted))

    site = Site(kind, say)
    paths = ["/a", "/a/", "/A", "/a%20b", "/a?x=1&y=2", "/a?y=2&x=1", "/a?x=1&y=2&"]
    if kind == "asgi":
        paths += ["/a%2Fb", "/a/b"]
    bodies = [site.ask(path).body for path in paths]
    bodies.append(site.ask("/a", content_length="5").body)

    assert len(set(bodies)) == len(bodies)
    assert [site.ask(path).body for path in paths] == bodies[:-1]


@each
def test_a_part_is_never_kept_as_the_whole(kind: str) -> None:
    site = Site(kind, says("max-age=60"))
    site.ask(range="bytes=0-1")
    site.ask(if_match='"x"')

    assert site.ask().body == b"answer 3"


@each
@pytest.mark.parametrize(
    ("if_none_match", "status"),
    [("*", 304), ("ETAG", 304), ("W/ETAG", 304), ('"x", ETAG', 304), ('"x"', 200), ("ETA", 200)],
)
@pytest.mark.parametrize("cache_control", ["max-age=60", "private, max-age=60", ""])
def test_whoever_has_the_answer_is_told_so_and_nothing_more(
    kind: str, if_none_match: str, status: int, cache_control: str
) -> None:
    def say(_request: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        headers = {"content-type": "text/plain", "cache-control": cache_control, "x-more": "1"}
        return 200, {name: value for name, value in headers.items() if value}, "the answer"

    site = Site(kind, say)
    etag = site.ask().headers["etag"]
    told = site.ask(if_none_match=if_none_match.replace("ETAG", etag))

    assert etag.startswith('"')
    assert told.status == status
    assert told.headers["etag"] == etag
    assert told.headers.get("cache-control", "") == cache_control
    assert told.headers["x-more"] == "1"
    assert (told.body == b"") == (status == 304)
    assert ("content-length" in told.headers) == (status == 200)


@each
def test_a_tag_of_the_apps_own_stays_and_nobody_elses_content_can_be_guessed(kind: str) -> None:
    def say(request: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        return 200, {"cache-control": "private, max-age=60"}, f"salary of {request['cookie']}"

    own = Site(kind, says("max-age=60", etag='W/"7"'))
    assert own.ask().headers["etag"] == 'W/"7"'
    assert own.ask(if_none_match='"7"').status == 304
    private = Site(kind, say)
    guess = private.ask(cookie="boss").headers["etag"]
    assert private.ask(cookie="eve", if_none_match=guess).status == 200


@each
def test_a_head_is_answered_from_what_a_get_kept_and_keeps_nothing(kind: str) -> None:
    site = Site(kind, says("max-age=60"))
    site.ask(method="HEAD")
    full = site.ask()
    head = site.ask(method="HEAD")

    assert site.asked == 2
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == "8"
    assert head.headers["etag"] == full.headers["etag"]


@each
def test_what_belongs_to_one_answer_is_not_given_to_others(kind: str) -> None:
    site = Site(
        kind,
        says(
            "max-age=60", connection="x-hop", x_hop="1", x_request_id="7", date="then", x_other="1"
        ),
    )
    site.ask()
    told = site.ask().headers

    assert told["x-other"] == "1"
    assert {"connection", "x-hop", "x-request-id", "date"}.isdisjoint(told)


@each
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "INVENTED"])
@pytest.mark.parametrize(("status", "is_forgotten"), [(204, True), (303, True), (409, False)])
def test_what_was_changed_is_forgotten_with_every_query(
    kind: str, method: str, status: int, is_forgotten: object
) -> None:
    normal = says("max-age=60")

    def say(request: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        return normal(request) if request[":method"] == "GET" else (status, {}, "")

    site = Site(kind, say)
    before = [site.ask("/a").body, site.ask("/a?b=1").body, site.ask("/b").body]
    site.ask("/a", method)
    after = [site.ask("/a").body, site.ask("/a?b=1").body, site.ask("/b").body]

    assert [b != a for b, a in zip(before, after, strict=True)] == [
        is_forgotten,
        is_forgotten,
        False,
    ]


@each
def test_tags_and_addresses_are_forgotten_on_demand(kind: str) -> None:
    site = Site(
        kind, says("max-age=60", surrogate_key="articles article:7", cache_tag="shop one,x")
    )
    for path in ("/a", "/b?x=1"):
        site.ask(path)

    assert site.responses.purge(tags=["article:8"]) == 0
    assert site.responses.purge(tags=["article:7"]) == 2
    site.now += 1
    site.ask("/a"), site.ask("/b?x=1"), site.ask("/caf%C3%A9")
    assert asyncio.run(site.responses.apurge(urls=["https://shop/b", "/caf%C3%A9"])) == 2
    assert site.cache is not None
    assert site.cache.delete_tagged("articles") == 1, "functions and answers share their tags"
    with pytest.raises(TypeError):
        site.responses.purge(tags="articles")


@each
def test_what_was_being_made_while_it_was_purged_is_not_kept(kind: str) -> None:
    def say(_request: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        if site.asked == 1:
            # It has read the database; now somebody changes that, and purges.
            site.now += 1
            purging = threading.Thread(target=site.responses.purge, kwargs={"tags": ["article"]})
            purging.start()
            purging.join()
            site.now += 1
        return 200, {"cache-control": "max-age=60", "surrogate-key": "article"}, str(site.asked)

    site = Site(kind, say)
    first = site.ask()

    assert first.headers["cache-status"] == "mainstay; fwd=uri-miss"
    assert site.ask().body == b"2"
    assert site.ask().body == b"2", "and then it is kept again"


@each
def test_what_has_more_tags_than_can_be_forgotten_is_not_kept(kind: str) -> None:
    site = Site(kind, says("max-age=60", surrogate_key=" ".join(f"t{n}" for n in range(40))))

    assert site.ask().body != site.ask().body


@each
def test_a_stale_answer_is_served_while_one_makes_it_anew(kind: str) -> None:
    site = Site(kind, says("max-age=10, stale-while-revalidate=30"))
    held = threading.Event()
    made = site.says

    def slow(request: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        if site.asked > 1 and kind == "wsgi":
            held.wait(PATIENCE_SECONDS)
        return made(request)

    site.says = slow
    site.ask()
    if kind == "wsgi":
        stale = [site.ask(after=after) for after in (11, 1, 1)]
        assert [told.body for told in stale] == [b"answer 1"] * 3
        assert stale[0].headers["cache-status"] == "mainstay; hit; ttl=-1"
        held.set()
        eventually(lambda: site.ask().body == b"answer 2")
        assert site.asked == 2
    assert site.ask(after=41).body != b"answer 1", "over is over"


def test_a_stale_answer_is_made_anew_behind_asgi_too() -> None:
    async def story() -> None:
        counted = iter(range(1, 100))
        renewed = asyncio.Event()
        now = [NOON]

        async def app(scope: Any, receive: Any, send: Any) -> None:
            number = next(counted)
            assert mainstay.current_request() is None
            assert b"if-none-match" not in dict(scope["headers"])
            assert (await receive())["body"] == b""
            headers = [(b"cache-control", b"max-age=10, stale-while-revalidate=30")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"%d" % number})
            if number > 1:
                renewed.set()

        door = ResponseCache(Cache(clock=Clock(wall=lambda: now[0])))(app)
        assert await get(door) == b"1"
        now[0] += 11
        assert [await get(door, method="HEAD"), await get(door)] == [b"", b"1"]
        await renewed.wait()
        now[0] += 1
        assert await get(door) == b"2"
        assert next(counted) == 3, "once, and not for each who came across it"

    asyncio.run(story())


async def get(
    door: Any, path: str = "/", method: str = "GET", header: tuple[bytes, bytes] = (b"x", b"y")
) -> bytes:
    said: list[bytes] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(message.get("body", b""))

    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "scheme": "http",
        "query_string": b"", "headers": [(b"host", b"shop"), header],
    }  # fmt: skip
    await door(scope, receive, send)
    return b"".join(said)


def test_of_many_who_ask_at_once_one_has_it_made() -> None:
    async def story() -> int:
        made = 0

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal made
            made += 1
            await asyncio.sleep(0.05)
            headers = [(b"cache-control", b"max-age=60")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"ok"})

        door = ResponseCache(Cache())(app)
        assert await asyncio.gather(*(get(door) for _ in range(100))) == [b"ok"] * 100
        return made

    assert asyncio.run(story()) == 1


def test_of_many_threads_one_has_it_made() -> None:
    def slow(_request: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        time.sleep(0.05)
        return 200, {"cache-control": "max-age=60"}, "ok"

    site = Site("wsgi", slow)
    with ThreadPoolExecutor(32) as threads:
        bodies = list(threads.map(lambda _: site.ask().body, range(64)))

    assert bodies == [b"ok"] * 64
    assert site.asked == 1


@pytest.mark.parametrize("raises", [False, True])
def test_who_waits_for_what_is_not_kept_asks_by_himself_and_soon_nobody_waits(
    raises: object,
) -> None:
    async def story() -> None:
        at_once, most = 0, 0

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.01)
            at_once -= 1
            if raises:
                raise ZeroDivisionError
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"mine"})

        door = ResponseCache(Cache())(app)
        # An error tells nothing of the next time.
        for expected in (19, 19 if raises else 20):
            most = 0
            told = await asyncio.gather(*(get(door) for _ in range(20)), return_exceptions=True)
            assert [one == b"mine" or isinstance(one, ZeroDivisionError) for one in told] == [
                True
            ] * 20
            assert most == expected

    asyncio.run(story())


@pytest.mark.parametrize("header", [(b"cache-control", b"no-store"), (b"if-none-match", b'"x"')])
def test_nobody_can_switch_off_for_others_that_one_has_it_made(header: tuple[bytes, bytes]) -> None:
    async def story() -> int:
        made = 0

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal made
            made += 1
            await asyncio.sleep(0.01)
            is_known = b"if-none-match" in dict(scope["headers"])
            headers = [(b"cache-control", b"max-age=60")]
            status = 304 if is_known else 200
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if is_known else b"ok"})

        door = ResponseCache(Cache())(app)
        await get(door, header=header)
        made = 0
        assert await asyncio.gather(*(get(door) for _ in range(50))) == [b"ok"] * 50
        return made

    assert asyncio.run(story()) == 1


def test_one_who_hangs_up_takes_the_answer_from_nobody() -> None:
    async def story() -> None:
        begun = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            is_first = not begun.is_set()
            begun.set()
            await asyncio.sleep(600 if is_first else 0)
            headers = [(b"cache-control", b"max-age=60")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"ok"})

        door = ResponseCache(Cache(wait_seconds=PATIENCE_SECONDS))(app)
        first = asyncio.create_task(get(door))
        await begun.wait()
        others = [asyncio.create_task(get(door)) for _ in range(5)]
        await asyncio.sleep(0.01)
        first.cancel()
        assert await asyncio.gather(*others) == [b"ok"] * 5

    asyncio.run(story())


def test_a_stream_and_what_is_too_long_pass_as_they_come() -> None:
    async def story() -> None:
        door = ResponseCache(Cache(), most_bytes=10)
        for headers, parts in (
            ([], [b"a", b"b", b""]),
            ([(b"content-length", b"20")], [b"x" * 15, b"y" * 5]),
            ([], [b"x" * 20]),
            ([(b"content-length", b"8")], [b"x" * 6, b"y" * 6]),
        ):
            said: list[Any] = []

            async def app(
                scope: Any, receive: Any, send: Any, h: Any = headers, p: Any = parts
            ) -> None:
                start = {"type": "http.response.start", "status": 200}
                said_headers = [(b"cache-control", b"max-age=60"), *h]
                await send({**start, "headers": said_headers})
                for n, part in enumerate(p):
                    more = n < len(p) - 1
                    await send({"type": "http.response.body", "body": part, "more_body": more})

            async def send(message: Any, said: Any = said) -> None:
                said.append(message)

            async def receive() -> Any:
                return {"type": "http.request"}

            scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "scheme": "http"}
            for _ in range(2):
                said.clear()
                await door(app)(scope, receive, send)
                names = {name for name, _ in said[0]["headers"]}
                assert b"etag" not in names
                assert b"cache-status" not in names
                assert b"".join(m.get("body", b"") for m in said) == b"".join(parts)
                assert not said[-1].get("more_body")

    asyncio.run(story())


def test_a_stream_of_wsgi_passes_as_it_comes_and_is_closed() -> None:  # noqa: C901 - three apps
    closed: list[str] = []

    class Body:
        def __init__(self, parts: list[bytes]) -> None:
            self.parts = iter(parts)

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> bytes:
            return next(self.parts)

        def close(self) -> None:
            closed.append("closed")

    def app(environ: Any, start_response: Any) -> Any:
        headers = [("Cache-Control", "max-age=60"), ("X-CaSe", "1")]
        if environ["PATH_INFO"] != "/stream":
            headers.append(("Content-Length", "12"))
        if environ["PATH_INFO"] == "/write":
            write = start_response("200 OK", headers)
            write(b"old ")
            return Body([b"fashioned"])
        start_response("200 OK", headers)
        return Body([b"hello ", b"world!"])

    def late(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Cache-Control", "max-age=60")])
        yield b"late "
        yield b"start"

    door = ResponseCache(Cache(), most_bytes=12)(app)
    for path, body in (
        ("/stream", b"hello world!"),
        ("/write", b"fashioned"),
        ("/kept", b"hello world!"),
    ):
        for _ in range(2):
            told = asked_wsgi(door, path, method="GET", peer="", headers={})
            assert told.body == body
    assert len(closed) == 5, "all but the kept one"
    lately = ResponseCache(Cache())(late)
    assert asked_wsgi(lately, "/", method="GET", peer="", headers={}).body == b"late start"
    small = ResponseCache(Cache(), most_bytes=11)(app)
    assert asked_wsgi(small, "/long", method="GET", peer="", headers={}).body == b"hello world!"


@each
def test_a_route_says_what_it_is_made_of(kind: str) -> None:
    @kept(60, stale=30, public=True, tags=("article:{number}", "a b"), vary=("Accept-Language",))
    def article(number: int) -> str:
        return f"article {number}"

    def say(_request: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        return 200, {"vary": "Accept"}, article(7)

    site = Site(kind, say, options={"purgers": [Remembers()]})
    told = site.ask()

    assert told.headers["cache-control"] == "public, max-age=60, stale-while-revalidate=30"
    assert told.headers["vary"] == "accept, accept-language"
    assert told.headers["surrogate-key"] == "article:7 a%20b"
    assert site.responses.purge(tags=["a b"]) == 1
    assert site.responses.flush(PATIENCE_SECONDS)
    assert site.responses.queue.purgers[0].told == [(("a%20b",), ())]  # type: ignore[attr-defined]  # ours


class Remembers:
    tag_header = "surrogate-key"

    def __init__(self) -> None:
        self.told: list[Any] = []

    def __call__(self, tags: Any, urls: Any) -> None:
        self.told.append((tags, urls))


@each
def test_what_the_app_said_itself_stays_and_outside_of_a_cache_nothing_happens(kind: str) -> None:
    keep(60)

    def say(_request: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        keep(60, public=True)
        return 200, {"cache-control": "no-store"}, "secret"

    site = Site(kind, say)
    told = site.ask()
    assert told.headers["cache-control"] == "no-store"
    assert "etag" not in told.headers
    site.ask()
    assert site.asked == 2


@each
@pytest.mark.parametrize("status", [500, 403, 422, 302])
def test_what_a_route_says_of_its_answer_is_not_said_of_its_errors(kind: str, status: int) -> None:
    def say(_request: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        keep(60, public=True, stale=60)
        return status, {}, "trouble"

    assert "cache-control" not in Site(kind, say).ask().headers


def test_a_cache_around_a_guard_is_refused() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    with pytest.raises(ValueError, match="around the cache"):
        ResponseCache(Cache())(mainstay.Guard(app))


def identified(route: Callable[[], str]) -> Callable[[], str]:
    def asked() -> str:
        mainstay.identify("alice")
        return route()

    return asked


@each
@pytest.mark.parametrize(
    "mark",
    [
        identified,
        mainstay.limit("100/hour"),
        mainstay.cost(2),
        mainstay.scopes(),
    ],
    ids=["identify", "limit", "cost", "scopes"],
)
def test_what_a_route_asks_of_each_request_it_goes_on_to_ask(kind: str, mark: Any) -> None:
    def route() -> str:
        return "public, max-age=60"

    def say(_request: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        return 200, {"cache-control": mark(route)()}, "mine"

    site = Site(kind, say)
    policy = {"version": 1, "keys": golden("policy.full.json")["keys"]}
    policy["keys"]["required"] = []
    guard = mainstay.Guard(site.app, policy=policy, clock=Clock(wall=lambda: NOON))
    ask = asked_asgi if kind == "asgi" else asked_wsgi
    for _ in range(2):
        told = ask(guard, "/a", method="GET", peer="203.0.113.9", headers=bearer(READER))
        assert (told.status, told.body) == (200, b"mine")
    assert site.asked == 2


def test_a_guard_around_the_cache_refuses_what_is_kept() -> None:
    site = Site("asgi", says("public, max-age=60"))
    guard = mainstay.Guard(site.app, policy={"version": 1, "bans": {"entries": []}})
    assert asked_asgi(guard, "/a", method="GET", peer="203.0.113.9", headers={}).body == b"answer 1"
    told = asked_asgi(guard, "/a", method="GET", peer="203.0.113.9", headers={})

    assert told.body == b"answer 1"
    assert site.asked == 1
    assert told.headers["x-trace-id"]


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_header_can_be_read(one: str, other: str) -> None:
    answer = Answer(200, [("cache-control", one), ("vary", other)], b"")

    assert isinstance(directives(answer), dict)
    assert vary_of(answer) is None or "*" not in other.replace(" ", "").split(",")
    assert matches(one, other) in (True, False)


@pytest.mark.parametrize("served", [served_asgi, served_wsgi])
def test_over_sockets_it_is_the_same(served: Any) -> None:
    site = Site("asgi" if served is served_asgi else "wsgi", says("max-age=60"))
    options = {"lifespan": "off"} if served is served_asgi else {}
    with served(site.app, **options) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        answer = None
        for _ in range(3):
            connection.request("GET", "/a?b=1")
            answer = connection.getresponse()
            assert answer.read() == b"answer 1"
        assert answer is not None
        etag = answer.getheader("etag") or ""
        connection.request("GET", "/a?b=1", headers={"If-None-Match": etag})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (304, b"")
        connection.request("HEAD", "/a?b=1")
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("content-length"), answer.read()) == (200, "8", b"")
        connection.close()
    assert site.asked == 1
