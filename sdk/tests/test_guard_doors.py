"""What a guarded app says and does not say, alike for ASGI and WSGI."""

import json
from pathlib import Path
from typing import Any

import mainstay
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainstay._internal.guard import asgi, wsgi
from tests.guarding import (
    NOON,
    READER,
    UNKNOWN,
    WRITER,
    a_bare_policy,
    a_limit,
    a_policy,
    a_world,
    bearer,
)

either = pytest.mark.parametrize("kind", ["asgi", "wsgi"])
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
ORIGIN = {"Origin": "https://app.example"}


@either
def test_a_trace_is_continued_and_the_app_can_go_on_with_it(kind: str) -> None:
    told = a_world(kind, a_bare_policy()).ask(
        headers={"traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-00"}
    )

    assert told.headers["x-trace-id"] == TRACE_ID
    assert told.passage is not None
    version, trace_id, span_id, flags = told.passage.traceparent.split("-")
    assert (version, trace_id, flags) == ("00", TRACE_ID, "00")
    assert span_id not in ("00f067aa0ba902b7", "0" * 16)
    assert told.passage.traceparent == told.passage.traceparent


@either
@pytest.mark.parametrize("given", [{}, {"traceparent": "00-nonsense-01"}])
def test_without_a_valid_trace_a_new_one_begins(kind: str, given: dict[str, str]) -> None:
    world = a_world(kind, a_bare_policy())

    first, second = (world.ask(headers=given).headers["x-trace-id"] for _ in range(2))

    assert first != second
    assert {len(first), len(second)} == {32}
    assert int(first, 16)


@either
def test_the_response_time_is_told_in_milliseconds(kind: str) -> None:
    assert float(a_world(kind).ask().headers["x-response-time"]) >= 0


@either
def test_a_request_id_is_believed_of_a_trusted_proxy_only(kind: str) -> None:
    world = a_world(kind, a_policy("allowlist", "keys"))
    headers = {"X-Request-ID": "edge-7"}

    trusted = world.ask(peer="10.1.2.3", headers=headers).passage
    stranger = world.ask(peer="203.0.113.9", headers=headers).passage

    assert trusted is not None
    assert stranger is not None
    assert trusted.request_id == "edge-7"
    assert stranger.request_id == stranger.span_id


@either
def test_security_headers_are_set_where_the_app_set_none_and_removed_as_told(kind: str) -> None:
    told = a_world(kind, a_policy("allowlist", "keys")).ask().headers

    assert told["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in told["content-security-policy"]
    assert told["x-frame-options"] == "sameorigin"  # the app's own
    assert "server" not in told


@either
def test_a_nonce_is_new_for_every_response_and_the_app_can_use_it(kind: str) -> None:
    headers = {"set": {"Content-Security-Policy": "script-src 'nonce-{nonce}'"}}
    world = a_world(kind, a_bare_policy(headers=headers))

    answers = [world.ask() for _ in range(2)]

    assert len({told.headers["content-security-policy"] for told in answers}) == 2
    for told in answers:
        assert told.passage is not None
        nonce = told.passage.csp_nonce
        assert told.headers["content-security-policy"] == f"script-src 'nonce-{nonce}'"


@either
def test_without_any_policy_ids_and_a_few_headers_are_set_and_only_huge_bodies_refused(
    kind: str,
) -> None:
    world = a_world(kind)

    told = world.ask("/api/insights", headers=bearer(UNKNOWN))
    huge = world.ask(method="POST", headers={"Content-Length": str(10 * 2**20 + 1)})

    assert told.status == 200
    assert told.headers["x-content-type-options"] == "nosniff"
    assert "x-trace-id" in told.headers
    assert (huge.status, huge.code) == (413, "body-too-large")


@either
def test_a_preflight_of_an_allowed_origin_is_answered_without_key_limit_or_app(kind: str) -> None:
    world = a_world(kind, a_policy())
    asks = {**ORIGIN, "Access-Control-Request-Method": "POST"}

    told = [world.ask("/api/insights", method="OPTIONS", headers=asks) for _ in range(150)][-1]

    assert told.status == 204
    assert told.headers["access-control-allow-origin"] == "https://app.example"
    assert told.headers["access-control-allow-methods"] == "GET, POST"
    assert told.headers["access-control-allow-headers"] == "Authorization, Content-Type"
    assert told.headers["access-control-allow-credentials"] == "true"
    assert told.headers["access-control-max-age"] == "600"
    assert told.headers["vary"] == "Origin"
    assert told.passage is None


@either
def test_another_origin_is_allowed_nothing(kind: str) -> None:
    world = a_world(kind, a_policy())
    stranger = {"Origin": "https://evil.example"}

    preflight = world.ask(
        method="OPTIONS", headers={**stranger, "Access-Control-Request-Method": "POST"}
    )
    actual = world.ask(headers=stranger)

    for told in (preflight, actual):
        assert not [name for name in told.headers if name.startswith("access-control")]
        assert told.headers["vary"] == "Origin"


@either
def test_a_page_of_an_allowed_origin_can_read_a_refusal(kind: str) -> None:
    told = a_world(kind, a_policy()).ask("/api/insights", headers=ORIGIN)

    assert told.code == "key-missing"
    assert told.headers["access-control-allow-origin"] == "https://app.example"
    assert (
        told.headers["access-control-expose-headers"] == "RateLimit, RateLimit-Policy, X-Trace-Id"
    )


@either
def test_everybodys_origin_never_comes_with_credentials(kind: str) -> None:
    cors = {"origins": ["*"], "credentials": True}

    told = a_world(kind, a_bare_policy(cors=cors)).ask(headers={"Origin": "https://any.example"})

    assert told.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in told.headers


@either
def test_a_banned_address_gets_not_even_a_preflight(kind: str) -> None:
    asks = {**ORIGIN, "Access-Control-Request-Method": "POST"}

    told = a_world(kind, a_policy()).ask(method="OPTIONS", peer="198.51.100.7", headers=asks)

    assert told.code == "banned"
    assert told.problem["type"].endswith("#abnormal-usage-detected")
    assert told.problem["detail"] == (
        "This address is banned for key spraying until 2030-01-01T00:00:00.000Z."
    )
    assert int(told.headers["retry-after"]) == 1_893_456_000 - NOON


@either
def test_a_key_may_come_as_x_api_key_and_another_scheme_is_the_apps_own(kind: str) -> None:
    world = a_world(kind, a_policy())

    by_header = world.ask("/api/insights", headers={"X-API-Key": READER}).passage
    basic = world.ask("/docs", headers={"Authorization": "Basic dTpw"})

    assert by_header is not None
    assert (by_header.key_id, by_header.owner, by_header.plan) == ("key-reader", "acme", "FREE")
    assert by_header.scopes == {"insight:read"}
    assert basic.status == 200


@either
def test_a_refusal_says_what_is_wrong_and_is_not_kept_by_caches(kind: str) -> None:
    told = a_world(kind, a_policy()).ask("/api/insights")

    assert told.problem == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "code": "key-missing",
        "detail": "This needs an API key; send it as Authorization: Bearer or as X-API-Key.",
    }
    assert told.headers["cache-control"] == "no-store"
    assert told.headers["content-length"] == str(len(told.body))
    assert told.headers["x-frame-options"] == "deny"
    assert told.passage is None


@either
def test_the_answer_to_head_has_no_body(kind: str) -> None:
    told = a_world(kind, a_policy()).ask("/api/insights", method="HEAD")

    assert (told.status, told.body) == (401, b"")
    assert int(told.headers["content-length"]) > 0


@either
def test_waiting_as_long_as_told_admits_and_a_millisecond_less_does_not(kind: str) -> None:
    world = a_world(kind, a_bare_policy(limits=a_limit(quota=5, windowSeconds=3600)))
    refused = [world.ask() for _ in range(6)][-1]
    seconds = int(refused.headers["retry-after"])
    assert seconds == 720

    world.now = NOON + seconds - 0.001
    assert world.ask().code == "rate-limited"
    world.now = NOON + seconds
    assert world.ask().status == 200


@either
def test_all_limits_are_charged_or_none(kind: str) -> None:
    narrow = {"name": "narrow", "quota": 1, "windowSeconds": 60, "paths": ["/search"]}
    wide = {"name": "wide", "quota": 3, "windowSeconds": 60}
    world = a_world(kind, a_bare_policy(limits={"policies": [wide, narrow]}))

    assert [world.ask("/search").status for _ in range(5)] == [200, 429, 429, 429, 429]
    assert [world.ask("/docs").status for _ in range(3)] == [200, 200, 429]


@either
def test_the_headers_tell_every_limit_and_the_older_ones_the_tightest(kind: str) -> None:
    policies = [
        {"name": "hourly", "quota": 100, "windowSeconds": 3600},
        {"name": "burst", "quota": 10, "windowSeconds": 1, "burst": 2},
    ]
    world = a_world(kind, a_bare_policy(limits={"policies": policies}))

    passed, _, refused = (world.ask() for _ in range(3))

    assert passed.headers["ratelimit-policy"] == '"hourly";q=100;w=3600, "burst";q=10;w=1'
    assert passed.headers["ratelimit"] == '"hourly";r=99;t=36, "burst";r=1;t=1'
    assert passed.headers["x-ratelimit-limit"] == "10"
    assert passed.headers["x-ratelimit-remaining"] == "1"
    assert passed.headers["x-ratelimit-reset"] == "1"
    assert refused.headers["ratelimit"] == '"burst";r=0;t=1'
    assert refused.problem["violated-policies"] == ["burst"]


@either
def test_a_cost_that_never_fits_is_refused_without_a_time_to_wait_for(kind: str) -> None:
    told = a_world(kind, a_bare_policy(limits=a_limit(quota=5, cost=6))).ask()

    assert told.code == "rate-limited"
    assert "retry-after" not in told.headers
    assert told.headers["ratelimit"] == '"default";r=5'


@either
def test_a_limit_that_simulates_stops_nobody_and_says_so_to_the_report_alone(kind: str) -> None:
    world = a_world(kind, a_bare_policy(limits=a_limit(quota=1, simulate=True)))

    first, second = world.ask(), world.ask()

    assert (first.status, second.status) == (200, 200)
    assert "ratelimit" not in second.headers
    assert second.passage is not None
    assert second.passage.simulated is not None
    assert second.passage.simulated.code == "rate-limited"


@either
@pytest.mark.parametrize(
    ("section", "headers", "code"),
    [
        ({"allowlist": {"networks": ["10.0.0.0/8"]}}, {}, "address-not-allowed"),
        ({"limits": a_limit(quota=1, cost=2)}, {}, "rate-limited"),
        ({"body": {"mostBytes": 1}}, {"Content-Length": "2"}, "body-too-large"),
    ],
)
def test_a_dry_run_refuses_nobody_and_tells_the_client_nothing(
    kind: str, section: dict[str, Any], headers: dict[str, str], code: str
) -> None:
    told = a_world(kind, a_bare_policy(**section), dry_run=True).ask(headers=headers)

    assert told.status == 200
    assert not [name for name in told.headers if "ratelimit" in name or "would" in name]
    assert told.passage is not None
    assert told.passage.simulated is not None
    assert told.passage.simulated.code == code


@either
def test_limits_count_whom_they_are_told_to_count(kind: str) -> None:
    def who(by: str, *asks: dict[str, Any]) -> list[int]:
        limits = a_limit(quota=1, by=by)
        world = a_world(
            kind,
            a_policy("quotas", limits=limits),
            person=lambda carrier: (
                "ada" if carrier.get("path", carrier.get("PATH_INFO")) == "/ada" else None
            ),
        )
        return [world.ask(**ask).status for ask in asks]

    reader, writer = bearer(READER), bearer(WRITER)
    here, there = "203.0.113.7", "203.0.113.8"
    by_reader = {"peer": here, "headers": reader}

    assert who("caller", {"peer": here}, {"peer": there}, by_reader, by_reader) == [
        200,
        200,
        200,
        429,
    ]
    assert who("address", {"peer": here}, by_reader) == [200, 429]
    assert who("key", by_reader, {**by_reader, "peer": there}, {"peer": here}) == [200, 429, 200]
    assert who("owner", by_reader, {"peer": here, "headers": writer}) == [200, 429]
    assert who("plan", by_reader, {"peer": here, "headers": writer}) == [200, 200]
    assert who("instance", {"peer": here}, by_reader) == [200, 429]
    assert who(
        "person", {"path": "/ada", "peer": here}, {"path": "/ada", "peer": there}, {"peer": here}
    ) == [200, 429, 200]


@either
def test_soft_quotas_and_those_whose_period_is_over_refuse_nobody(kind: str) -> None:
    meter = {"meter": "calls", "subject": "organization", "remaining": 0}
    over = {**meter, "mode": "hard", "resetsAt": "2026-01-01T00:00:00Z"}
    quotas = {"meters": [{**meter, "mode": "soft"}, {**meter, "mode": "grace"}, over]}

    assert a_world(kind, a_bare_policy(quotas=quotas)).ask().status == 200


@either
def test_a_quota_of_the_organization_holds_for_everybody(kind: str) -> None:
    meter = {"meter": "calls", "subject": "organization", "remaining": 2, "mode": "hard"}
    world = a_world(kind, a_bare_policy(quotas={"meters": [meter]}))

    assert [world.ask().status for _ in range(3)] == [200, 200, 429]


@either
def test_a_second_guard_inside_of_a_first_does_nothing(kind: str) -> None:
    world = a_world(kind, a_bare_policy(limits=a_limit(quota=2)))
    world.guard.app = mainstay.Guard(world.guard.app, policy=a_bare_policy(limits=a_limit(quota=1)))

    assert [world.ask().status for _ in range(3)] == [200, 200, 429]


def test_the_kind_of_an_app_is_told_by_itself() -> None:
    class Async:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    class Returns:
        def __call__(self, scope: Any, receive: Any, send: Any) -> Any: ...

    def wsgi_app(environ: Any, start_response: Any) -> Any: ...

    class Wsgi:
        def __call__(self, environ: Any, start_response: Any) -> Any: ...

        bound = __call__

    kinds = [
        type(mainstay.Guard(app)) for app in (Async(), Returns(), wsgi_app, Wsgi(), Wsgi().bound)
    ]

    assert kinds == [asgi.Door, asgi.Door, wsgi.Door, wsgi.Door, wsgi.Door]
    assert all(issubclass(kind, mainstay.Guard) for kind in kinds)


def test_a_policy_may_be_a_file_and_one_that_is_none_stops_the_app_at_its_start(
    tmp_path: Path,
) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(a_bare_policy(limits=a_limit(quota=1))))
    bad.write_text(json.dumps(a_bare_policy(limits=a_limit(quota=0))))

    world = a_world("wsgi", good)

    assert [world.ask().status for _ in range(2)] == [200, 429]
    with pytest.raises(ValueError, match=r"policy\.limits\.policies\[0\]\.quota must be from 1"):
        a_world("wsgi", bad)
    with pytest.raises(FileNotFoundError):
        a_world("wsgi", str(tmp_path / "none.json"))


@either
def test_what_makes_the_guard_stumble_is_no_way_around_it(
    kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MAINSTAY_RAISE", "0")
    world = a_world(kind, a_policy())
    unguarded = a_world(kind, a_bare_policy())
    for one in (world, unguarded):
        monkeypatch.setattr(one.guard._rules, "judge_key", lambda passage: 1 / 0)

    told = world.ask()

    assert (told.status, told.code) == (503, "guard-failed")
    assert unguarded.ask().status == 200  # nothing there could have refused it
    assert len(caplog.records) <= 1  # each place is told once a process


ANYTHING = st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=60)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Authorization",
            "X-API-Key",
            "X-Forwarded-For",
            "Forwarded",
            "Traceparent",
            "X-Request-ID",
            "Origin",
            "Content-Length",
            "Access-Control-Request-Method",
        ]
    ),
    ANYTHING | ANYTHING.map(lambda text: f"Bearer {text}") | st.integers().map(str),
)


@either
@given(
    path=ANYTHING, peer=ANYTHING, method=st.sampled_from(["GET", "OPTIONS", "x"]), headers=HEADERS
)
def test_no_request_makes_the_guard_stumble(
    kind: str, path: str, peer: str, method: str, headers: dict[str, str]
) -> None:
    policy = a_policy(client={"trustedHops": 2, "trustedNetworks": ["0.0.0.0/0", "::/0"]})

    told = a_world(kind, policy).ask("/" + path, method=method, peer=peer, headers=headers)

    assert told.status in (200, 204, 401, 403, 413, 429)
