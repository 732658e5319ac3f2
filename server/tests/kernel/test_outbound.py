"""Nothing leaves unchecked, and no other side can hold, flood or trick us."""

import asyncio
import contextlib
import gzip
import socket
import threading
import time
import zlib
from collections.abc import Callable, Coroutine, Iterator

import pytest
import trustme
from mainstay_server.kernel import outbound
from tests.servers.http import Answer, HttpReceiver, running_http
from tests.servers.processes import free_port
from tests.servers.tls import server_tls
from tests.waiting import PATIENCE_SECONDS


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with running_http() as server:
        yield server


def names(monkeypatch: pytest.MonkeyPatch, *answers: tuple[str, ...]) -> Callable[[], int]:
    """Let the system's resolver give these addresses, one tuple per lookup, the last for ever."""
    left = list(answers)
    looked_up = 0
    real = socket.getaddrinfo

    def resolve(host: str, port: int, **options: int) -> list[object]:
        nonlocal looked_up
        looked_up += 1
        found = left.pop(0) if len(left) > 1 else left[0]
        return [row for address in found for row in real(address, port, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return lambda: looked_up


def refused(url: str, **options: object) -> outbound.OutboundError:
    with pytest.raises(outbound.OutboundError) as caught:
        outbound.fetch_blocking("GET", url, **options)  # type: ignore[arg-type]  # any of the keywords
    return caught.value


# --- Addresses ---


@pytest.mark.usefixtures("public_only")
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "localhost"])
def test_no_spelling_of_loopback_gets_through(host: str, receiver: HttpReceiver) -> None:
    error = refused(f"http://{host}:{receiver.port}/")
    assert error.kind == "blocked"
    assert receiver.connections == 0


@pytest.mark.usefixtures("public_only")
def test_a_name_that_points_inside_is_blocked(
    receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    names(monkeypatch, ("127.0.0.1",))
    assert refused(f"http://innocent.example:{receiver.port}/").kind == "blocked"
    assert receiver.connections == 0


@pytest.mark.usefixtures("open_to_private")
def test_the_address_that_was_checked_is_the_one_connected_to(
    receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups = names(monkeypatch, ("127.0.0.1",), ("169.254.169.254",))
    url = f"http://rebinding.example:{receiver.port}/"

    answer = outbound.fetch_blocking("GET", url)

    assert (answer.status, answer.remote_address, lookups()) == (200, "127.0.0.1", 1)
    assert receiver.requests[0].headers["host"] == f"rebinding.example:{receiver.port}"
    assert refused(url).kind == "blocked"


@pytest.mark.usefixtures("open_to_private")
def test_a_redirect_to_the_metadata_service_is_blocked(receiver: HttpReceiver) -> None:
    receiver.answer(Answer(status=302, headers={"Location": "http://169.254.169.254/latest/"}))
    assert refused(receiver.url, follow_redirects=True).kind == "blocked"


@pytest.mark.usefixtures("open_to_private")
def test_the_metadata_services_name_is_blocked_wherever_it_points(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names(monkeypatch, ("127.0.0.1",))
    assert refused("http://metadata.google.internal./").kind == "blocked"


@pytest.mark.usefixtures("open_to_private")
def test_forbidden_addresses_of_a_name_are_passed_over(
    receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    names(monkeypatch, ("169.254.169.254", "127.0.0.1"))
    answer = outbound.fetch_blocking("GET", f"http://mixed.example:{receiver.port}/")
    assert answer.remote_address == "127.0.0.1"


@pytest.mark.usefixtures("open_to_private")
@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("ftp://127.0.0.1/", "blocked"),
        ("file:///etc/passwd", "blocked"),
        ("http:///path", "protocol"),
        ("http://name.invalid/", "dns"),
        ("http://127.0.0.1:99999/", "protocol"),
    ],
)
def test_what_cannot_be_called_says_why(url: str, kind: str) -> None:
    assert refused(url).kind == kind


# --- HTTP ---


@pytest.mark.usefixtures("open_to_private")
def test_a_call_brings_back_all_of_the_answer(receiver: HttpReceiver) -> None:
    receiver.answer(
        Answer(status=503, headers={"Retry-After": "7"}, body=b"busy", delay_seconds=0.05)
    )

    answer = outbound.fetch_blocking("post", receiver.url + "/in?a=1", body=b"hi")

    assert (answer.status, answer.headers["retry-after"], answer.body) == (503, "7", b"busy")
    assert answer.timings.first_byte >= 50
    assert answer.timings.total >= answer.timings.connect + answer.timings.first_byte
    [request] = receiver.requests
    assert (request.method, request.path, request.body) == ("POST", "/in?a=1", b"hi")


@pytest.mark.usefixtures("open_to_private")
def test_the_environments_proxy_is_not_used(
    receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert outbound.fetch_blocking("GET", receiver.url).status == 200


@pytest.mark.usefixtures("open_to_private")
def test_a_dripping_server_cannot_hold_a_call(receiver: HttpReceiver) -> None:
    receiver.answer(Answer(chunks=[b"."] * 2_400, seconds_between_chunks=0.05))
    began = time.monotonic()

    error = refused(receiver.url, timeout_seconds=0.4, read_timeout_seconds=30)

    assert (error.kind, error.own_limit) == ("timeout", False)
    assert time.monotonic() - began < 30  # it drips for two minutes


@pytest.mark.usefixtures("open_to_private")
@pytest.mark.parametrize("options", [{"timeout_seconds": 0.3}, {"read_timeout_seconds": 0.3}])
def test_a_silent_server_cannot_hold_a_call(
    receiver: HttpReceiver, options: dict[str, float]
) -> None:
    receiver.answer(Answer(hang=True))
    assert refused(receiver.url, **options).kind == "timeout"


@pytest.mark.usefixtures("open_to_private")
@pytest.mark.parametrize(
    ("beginning", "for_ever"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000),
    ],
)
def test_a_server_that_never_pauses_keeps_nobody_else_waiting(
    beginning: bytes, for_ever: bytes
) -> None:
    """Neither with interim answers nor with a body of crumbs."""

    def pour(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(beginning)
            while True:
                connection.sendall(for_ever)

    async def ask(url: str) -> tuple[bool, int]:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(others())
        try:
            await outbound.fetch("GET", url, timeout_seconds=2, max_body_bytes=10**9)
        except outbound.OutboundError as error:
            return error.kind in ("protocol", "timeout"), turns
        finally:
            beside.cancel()
        return False, turns

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=pour, args=(listening,), daemon=True).start()
        ended, turns = asyncio.run(ask(f"http://127.0.0.1:{listening.getsockname()[1]}/"))
    assert ended
    assert turns > 3


@pytest.mark.usefixtures("open_to_private")
def test_nobody_listening_is_a_connect_error() -> None:
    assert refused(f"http://127.0.0.1:{free_port()}/").kind == "connect"


@pytest.mark.usefixtures("open_to_private")
def test_a_server_that_hangs_up_is_a_protocol_error(receiver: HttpReceiver) -> None:
    receiver.answer(Answer(close=True))
    assert refused(receiver.url).kind == "protocol"


@pytest.mark.usefixtures("open_to_private")
def test_a_long_body_is_cut_or_refused(receiver: HttpReceiver) -> None:
    receiver.answer_at("/", Answer(body=b"x" * 5000))

    cut = outbound.fetch_blocking("GET", receiver.url, max_body_bytes=1000)
    whole = outbound.fetch_blocking("GET", receiver.url, max_body_bytes=5000)

    assert (len(cut.body), cut.truncated) == (1000, True)
    assert (len(whole.body), whole.truncated) == (5000, False)
    assert refused(receiver.url, max_body_bytes=4999, truncate=False).kind == "too_large"


@pytest.mark.usefixtures("open_to_private")
def test_a_gzip_bomb_is_cut_at_the_limit(receiver: HttpReceiver) -> None:
    bomb = gzip.compress(bytes(100_000_000), mtime=0)
    receiver.answer(Answer(body=bomb, headers={"Content-Encoding": "gzip"}))
    answer = outbound.fetch_blocking("GET", receiver.url, max_body_bytes=10_000)
    assert (answer.body, answer.truncated) == (bytes(10_000), True)


RAW = zlib.compressobj(wbits=-15)


@pytest.mark.usefixtures("open_to_private")
@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(b"hello" * 1000, mtime=0)),
        ("deflate", zlib.compress(b"hello" * 1000)),
        ("deflate", RAW.compress(b"hello" * 1000) + RAW.flush()),
    ],
)
def test_a_packed_body_is_unpacked(receiver: HttpReceiver, coding: str, packed: bytes) -> None:
    receiver.answer(Answer(body=packed, headers={"Content-Encoding": coding}))
    assert outbound.fetch_blocking("GET", receiver.url).body == b"hello" * 1000


@pytest.mark.usefixtures("open_to_private")
def test_a_body_that_does_not_unpack_is_a_protocol_error(receiver: HttpReceiver) -> None:
    receiver.answer(Answer(body=b"not gzip", headers={"Content-Encoding": "gzip"}))
    assert refused(receiver.url).kind == "protocol"


# --- Redirects ---

SECRETS = {"Authorization": "Bearer s", "Cookie": "c", "X-Api-Key": "k", "Accept": "text/x"}


@pytest.mark.usefixtures("open_to_private")
def test_secrets_stay_with_their_origin(receiver: HttpReceiver) -> None:
    with running_http() as other:
        receiver.answer_at("/a", Answer(status=307, headers={"Location": "/b"}))
        receiver.answer_at(
            "/b", Answer(status=307, headers={"Location": f"http://u:p@127.0.0.1:{other.port}/c"})
        )
        answer = outbound.fetch_blocking(
            "GET", receiver.url + "/a", headers=SECRETS, follow_redirects=True
        )

        same, elsewhere = receiver.requests[1], other.requests[0]

    assert (answer.url, answer.redirects) == (other.url + "/c", 2)
    assert {name.lower() for name in SECRETS} <= same.headers.keys()
    assert elsewhere.headers["accept"] == "text/x"
    assert not {"authorization", "cookie", "x-api-key"} & elsewhere.headers.keys()


@pytest.mark.usefixtures("open_to_private")
def test_credentials_in_the_address_are_sent_but_never_shown(receiver: HttpReceiver) -> None:
    url = f"http://bob:s%40crt@127.0.0.1:{receiver.port}/"
    answer = outbound.fetch_blocking("GET", url)
    assert receiver.requests[0].headers["authorization"] == "Basic Ym9iOnNAY3J0"
    assert "crt" not in answer.url
    receiver.stop()
    assert "crt" not in str(refused(url))


@pytest.mark.usefixtures("open_to_private")
@pytest.mark.parametrize(
    ("status", "method", "body"), [(302, "GET", b""), (303, "GET", b""), (307, "POST", b"x")]
)
def test_a_redirected_post_keeps_or_drops_its_body(
    receiver: HttpReceiver, status: int, method: str, body: bytes
) -> None:
    receiver.answer(Answer(status=status, headers={"Location": "/next"}))
    outbound.fetch_blocking("POST", receiver.url, body=b"x", follow_redirects=True)
    second = receiver.requests[1]
    assert (second.method, second.path, second.body) == (method, "/next", body)


@pytest.mark.usefixtures("open_to_private")
def test_a_redirect_is_an_answer_unless_it_is_to_be_followed(receiver: HttpReceiver) -> None:
    receiver.answer_at("/", Answer(status=302, headers={"Location": "/"}))
    assert outbound.fetch_blocking("GET", receiver.url).status == 302
    assert refused(receiver.url, follow_redirects=True).kind == "too_many_redirects"
    assert len(receiver.requests) == 1 + 6


# --- TLS ---


@pytest.mark.usefixtures("open_to_private")
def test_the_certificate_is_checked_for_the_name_not_the_address(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    names(monkeypatch, ("127.0.0.1",))
    with running_http(tls=server_tls(authority, "good.example")) as server:
        answer = outbound.fetch_blocking("GET", f"https://good.example:{server.port}/")
        assert answer.status == 200
        assert answer.timings.tls > 0
        assert answer.certificate_der is not None

        assert refused(f"https://bad.example:{server.port}/").kind == "tls"
        unchecked = outbound.fetch_blocking(
            "GET", f"https://bad.example:{server.port}/", verify_tls=False
        )
        assert unchecked.status == 200


@pytest.mark.usefixtures("open_to_private")
def test_an_unknown_authority_is_a_tls_error() -> None:
    with running_http(tls=server_tls(trustme.CA(), "localhost")) as server:
        assert refused(f"https://localhost:{server.port}/").kind == "tls"


@pytest.mark.usefixtures("open_to_private")
def test_plain_http_on_a_tls_port_is_a_tls_error(receiver: HttpReceiver) -> None:
    assert (
        refused(f"https://127.0.0.1:{receiver.port}/", timeout_seconds=PATIENCE_SECONDS).kind
        == "tls"
    )


# --- Limits and loops ---


@pytest.mark.usefixtures("open_to_private")
def test_at_most_six_calls_reach_one_host_at_once(receiver: HttpReceiver) -> None:
    released = threading.Event()
    receiver.answer_at("/", Answer(held_until=released))

    async def twelve() -> int:
        asking = [asyncio.create_task(a_patient_call(receiver)) for _ in range(12)]
        await asyncio.to_thread(receiver.wait_for, 6)
        await asyncio.sleep(0.2)  # for a seventh to come, if it may
        at_once = len(receiver.requests)
        released.set()
        await asyncio.gather(*asking)
        return at_once

    assert asyncio.run(twelve()) == 6
    assert len(receiver.requests) == 12


def a_patient_call(receiver: HttpReceiver) -> Coroutine[None, None, outbound.Response]:
    return outbound.fetch("GET", receiver.url, timeout_seconds=PATIENCE_SECONDS)


@pytest.mark.usefixtures("open_to_private")
def test_waiting_for_our_own_limit_ends_and_says_so(receiver: HttpReceiver) -> None:
    released = threading.Event()
    receiver.answer_at("/", Answer(held_until=released))

    async def seven() -> tuple[outbound.OutboundError, list[outbound.Response]]:
        slow = [asyncio.create_task(a_patient_call(receiver)) for _ in range(6)]
        await asyncio.to_thread(receiver.wait_for, 6)
        with pytest.raises(outbound.OutboundError) as refusal:
            await outbound.fetch("GET", receiver.url, timeout_seconds=0.2)
        released.set()
        return refusal.value, await asyncio.gather(*slow)

    last, others = asyncio.run(seven())

    assert (last.kind, last.own_limit) == ("timeout", True)
    assert [other.status for other in others] == [200] * 6


@pytest.mark.usefixtures("open_to_private")
def test_connections_are_fresh_unless_asked_otherwise(receiver: HttpReceiver) -> None:
    async def three(*, reuse: bool) -> int:
        before = receiver.connections
        for _ in range(3):
            await outbound.fetch("GET", receiver.url, reuse=reuse)
        await outbound.close_resting_connections()
        return receiver.connections - before

    assert asyncio.run(three(reuse=False)) == 3
    assert asyncio.run(three(reuse=True)) == 1


@pytest.mark.usefixtures("open_to_private")
def test_a_reused_connection_that_died_is_replaced(receiver: HttpReceiver) -> None:
    assert outbound.fetch_blocking("GET", receiver.url, reuse=True).status == 200
    receiver.stop()
    receiver.start()
    assert outbound.fetch_blocking("GET", receiver.url, reuse=True).status == 200


@pytest.mark.usefixtures("public_only")
def test_a_name_of_which_one_address_points_inside_is_not_for_libraries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names(monkeypatch, ("192.0.2.1", "127.0.0.1"), ("93.184.216.34", "127.0.0.1"), ("8.8.8.8",))
    for _ in range(2):
        with pytest.raises(outbound.OutboundError) as caught:
            outbound.check_host_blocking("twofold.example")
        assert caught.value.kind == "blocked"
    assert outbound.check_host_blocking("public.example") == ["8.8.8.8"]
