import asyncio
import json
from pathlib import Path
from typing import Any

import mainstay
import pytest
from fastapi import FastAPI
from mainstay._internal import client
from mainstay._internal.clock import Clock
from mainstay._internal.dsn import Dsn, parse_dsn
from mainstay._internal.message import MeasuredRequest, Origin, encode_requests, known_method
from mainstay._internal.routes import without_ids
from mainstay._internal.trace import trace_id_of
from tests.app_servers import PATIENCE_SECONDS
from tests.capture_server import a_server

WIRE = Path(__file__).parents[2] / "wire" / "requests"
AT = 1_795_229_999.12  # 2026-11-21T02:59:59.120Z
SENT_AT = 1_795_230_000.0
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def golden(name: str) -> Any:
    return json.loads((WIRE / name).read_text())


def test_a_measured_request_becomes_exactly_the_full_golden_message() -> None:
    app = FastAPI()

    @app.get("/inspections/{inspection_id}")
    def read_inspection(inspection_id: int) -> int:
        return inspection_id

    walls, monotonics = iter([AT, SENT_AT]), iter([100.0, 100.012345])
    clock = Clock(wall=lambda: next(walls), monotonic=lambda: next(monotonics))
    origin = Origin("production", "inspections@1.4.2", "web-1")
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/inspections/41",
        "query_string": b"",
        "headers": [
            (b"traceparent", f"00-{TRACE_ID}-00f067aa0ba902b7-01".encode()),
            (b"x-forwarded-for", b"198.51.100.99"),
        ],
        "client": ("203.0.113.7", 50_000),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    with a_server() as server:
        client.connect(server.dsn, origin=origin, clock=clock)
        asyncio.run(mainstay.ASGIMiddleware(app)(scope, receive, send))
        assert mainstay.flush(PATIENCE_SECONDS)

    sent = server.batches[0].message
    assert len(sent["batchId"]) == 32
    assert sent == {**golden("full.json"), "batchId": sent["batchId"]}
    assert list(server.batches[0].message["requests"][0]) == list(
        golden("full.json")["requests"][0]
    )


def test_what_is_not_known_is_left_out_as_in_the_minimal_golden_message() -> None:
    request = MeasuredRequest(AT, "GET", "(unmatched)", 404, 0.0005, "", None)

    body = encode_requests(
        [request],
        origin=Origin("production", None, None),
        batch_id="a" * 32,
        dropped=0,
        sent_at=SENT_AT,
    )

    assert json.loads(body) == {**golden("minimal.json"), "batchId": "a" * 32}


@pytest.mark.parametrize(
    ("method", "name"), [("PATCH", "PATCH"), ("get", "_OTHER"), ("X" * 5_000, "_OTHER")]
)
def test_an_invented_method_is_counted_as_other(method: str, name: str) -> None:
    assert known_method(method) == name


def test_a_batch_goes_to_the_project_of_the_dsn_with_its_key() -> None:
    with a_server() as server:
        mainstay.init(server.dsn.replace("/7", "/behind/proxy/7"))
        an_answered_request()
        assert mainstay.flush(PATIENCE_SECONDS)

    assert server.batches[0].path == "/behind/proxy/api/7/requests/"
    headers = server.batches[0].headers
    assert headers["x-sentry-auth"] == (
        "Sentry sentry_key=a1b2c3, sentry_version=7, sentry_client=mainstay.python/0.1.0"
    )
    assert headers["content-type"] == "application/json"
    assert headers["content-encoding"] == "gzip"


def an_answered_request() -> None:
    connected = client.active_client()
    assert connected is not None
    connected.record(MeasuredRequest(AT, "GET", "/", 200, 0.001, "", None))


@pytest.mark.parametrize(
    ("text", "dsn"),
    [
        ("http://k@h/1", Dsn("http", "k", "h", 80, "", 1)),
        ("https://k:old-secret@h:8443/a/b/12", Dsn("https", "k", "h", 8443, "/a/b", 12)),
        ("http://k@[::1]:9000/3", Dsn("http", "k", "::1", 9000, "", 3)),
    ],
)
def test_a_dsn_names_scheme_key_host_port_prefix_and_project(text: str, dsn: Dsn) -> None:
    assert parse_dsn(text) == dsn


@pytest.mark.parametrize(
    "text",
    ["nonsense", "ftp://k@h/1", "http://h/1", "http://k@h", "http://k@h/x", "http://k@h:99999/1",
     "http://k@/1", "http://[k@h/1", "http://k@h/a b/1", "http://k@h/²"],
)  # fmt: skip
def test_an_unreadable_dsn_is_said_once_and_nothing_else_happens(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    mainstay.init(text)

    assert client.active_client() is None
    assert len(caplog.records) == 1
    assert text not in caplog.text


def test_without_a_dsn_everything_is_a_quiet_no_op(caplog: pytest.LogCaptureFixture) -> None:
    mainstay.init()

    assert mainstay.flush(0)
    mainstay.close()
    assert caplog.records == []


def test_the_dsn_comes_from_the_environment_ours_before_sentrys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SENTRY_DSN", "http://sentry@127.0.0.1:9/1")
    monkeypatch.setenv("MAINSTAY_DSN", "http://ours@127.0.0.1:9/2")
    mainstay.init()
    assert connected_key() == "ours"

    monkeypatch.delenv("MAINSTAY_DSN")
    mainstay.init()
    assert connected_key() == "sentry"


def connected_key() -> str:
    connected = client.active_client()
    assert connected is not None
    return connected._dsn.key


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("/a/12/b", "/a/{id}/b"),
        ("/a/0B5C7F2E-93a1-4d1e-8a55-4e0f3a6b9d11", "/a/{id}"),
        ("/blob/9f86d081884c7d659a2feaa0c55ad015", "/blob/{id}"),
        ("/v2/face/beef", "/v2/face/beef"),
        ("", "/"),
        ("/" + "x" * 1_000_000, "/" + "x" * 199),
    ],
)
def test_a_raw_path_loses_its_ids_and_its_excess(raw: str, name: str) -> None:
    assert without_ids(raw) == name


@pytest.mark.parametrize(
    ("traceparent", "trace_id"),
    [
        (f"00-{TRACE_ID}-00f067aa0ba902b7-01", TRACE_ID),
        (f"cc-{TRACE_ID}-00f067aa0ba902b7-01-what-the-future-brings", TRACE_ID),
        (f"00-{TRACE_ID}-00f067aa0ba902b7-01-extra", None),
        (f"ff-{TRACE_ID}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE_ID.upper()}-00f067aa0ba902b7-01", None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE_ID}-{'0' * 16}-01", None),
        (f"00-{TRACE_ID}-00f067aa0ba902b7-01\n", None),
        ("", None),
    ],
)
def test_a_trace_id_is_taken_only_from_a_valid_traceparent(
    traceparent: str, trace_id: str | None
) -> None:
    assert trace_id_of(traceparent) == trace_id
