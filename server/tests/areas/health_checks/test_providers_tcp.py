"""The TCP check against a real port that answers, says the wrong thing, and says nothing."""

from collections.abc import Iterator

import pytest
from mainstay_server.kernel import outbound
from tests.areas.health_checks.worlds import ask
from tests.servers.processes import free_port
from tests.servers.talking import talking


@pytest.fixture(autouse=True)
def way_out() -> Iterator[None]:
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


def test_a_port_that_answers_is_healthy() -> None:
    with talking([b"220 mail.example ready\r\n"]) as port:
        result = ask("tcp", {"host": "127.0.0.1", "port": port})
        greeted = ask("tcp", {"host": "127.0.0.1", "port": port, "expect": "220 "})

    assert (result.state, result.reason) == ("healthy", "")
    assert (greeted.state, greeted.values["BODY"]) == ("healthy", b"220 mail.example ready\r\n")
    assert greeted.values["IP"] == "127.0.0.1"


def test_what_is_sent_is_answered() -> None:
    with talking([], answers={b"PING\r\n": b"+PONG\r\n"}) as port:
        config = {"host": "127.0.0.1", "port": port, "send": "PING\\r\\n", "expect": "+PONG"}
        result = ask("tcp", config)

    assert result.state == "healthy"


def test_the_wrong_answer_is_unhealthy_and_told() -> None:
    with talking([b"554 go away\r\n"], then_close=True) as port:
        result = ask("tcp", {"host": "127.0.0.1", "port": port, "expect": "220"})

    assert (result.state, result.reason) == ("unhealthy", "said '554 go away', not '220'")


def test_a_closed_port_is_down() -> None:
    result = ask("tcp", {"host": "127.0.0.1", "port": free_port()})

    assert (result.state, result.reason) == ("unhealthy", "connection refused")


def test_a_silent_port_is_down_after_the_time_out() -> None:
    with talking([]) as port:
        config = {"host": "127.0.0.1", "port": port, "expect": "220"}
        result = ask("tcp", config, timeout_seconds=1)

    assert (result.state, result.reason) == ("unhealthy", "no answer within 1 s")


def test_an_inner_address_is_not_asked_where_that_is_closed() -> None:
    outbound.close_outbound()
    outbound.open_outbound(allow_private=False)
    with talking([b"hello"]) as port:
        result = ask("tcp", {"host": "127.0.0.1", "port": port})

    assert result.state == "unhealthy"
    assert "may not be reached" in result.reason
