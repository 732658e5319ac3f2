"""Conditions of a check: over what a kind says by itself, resolved, and refused when senseless."""

import json
from collections.abc import Iterator, Sequence

import pytest
from mainstay_server.areas.health_checks.schemas.orders import ProbeResult
from mainstay_server.areas.health_checks.service.judging import checked_conditions
from mainstay_server.kernel import outbound
from mainstay_server.kernel.problems import Invalid
from tests.areas.health_checks.worlds import ask
from tests.servers.http import Answer, HttpReceiver, running_http
from tests.servers.processes import free_port


@pytest.fixture(autouse=True)
def way_out() -> Iterator[None]:
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


@pytest.fixture
def app() -> Iterator[HttpReceiver]:
    with running_http() as receiver:
        yield receiver


def ask_page(app: HttpReceiver, conditions: Sequence[str]) -> ProbeResult:
    return ask("http", {"url": app.url}, url=app.url, conditions=conditions)


def test_what_holds_changes_nothing(app: HttpReceiver) -> None:
    app.answer(Answer(headers={"x-version": "7"}, body=b'{"items": [1]}'))

    result = ask_page(
        app, ["[STATUS] == 200", "[HEADER].x-version == 7", "len([BODY].items) > 0", "[SIZE] == 14"]
    )

    assert (result.state, result.failed) == ("healthy", ())


def test_what_does_not_hold_is_down_and_shown_resolved(app: HttpReceiver) -> None:
    app.answer(Answer(body=json.dumps({"queue": 51}).encode()))

    result = ask_page(app, ["[BODY].queue < 50", "[STATUS] == 200", "[BODY].name == tea"])

    assert result.state == "unhealthy"
    assert result.failed == ("[BODY].queue (51) < 50", "[BODY].name (nothing) == tea")
    assert result.reason == "[BODY].queue (51) < 50; [BODY].name (nothing) == tea"


def test_a_condition_may_only_degrade(app: HttpReceiver) -> None:
    result = ask_page(app, ["[SIZE] > 100 or degraded"])

    assert (result.state, result.reason) == ("degraded", "[SIZE] (2) > 100")


def test_a_condition_on_the_status_decides_in_place_of_the_rule(app: HttpReceiver) -> None:
    app.answer(Answer(status=404), Answer(status=404))

    assert ask_page(app, ["[STATUS] == 404"]).state == "healthy"
    assert ask_page(app, ["[SIZE] >= 0"]).reason == "answered 404"


def test_a_port_that_must_be_closed_is_healthy_while_it_is() -> None:
    config = {"host": "127.0.0.1", "port": free_port()}

    assert ask("tcp", config, conditions=["[CONNECTED] == false"]).state == "healthy"
    assert ask("tcp", config, conditions=["[RESPONSE_TIME] < 500"]).reason == "connection refused"
    opened = ask("tcp", config, conditions=["[CONNECTED] == true"])
    assert (opened.state, opened.reason) == ("unhealthy", "[CONNECTED] (false) == true")


def test_a_condition_that_the_kind_cannot_answer_is_refused_with_those_it_can() -> None:
    with pytest.raises(Invalid) as refused:
        checked_conditions("tcp", ["[CONNECTED]", "[STATUS] == 200"])
    with pytest.raises(Invalid, match=r"conditions\.0: .*character 10: an operator is missing"):
        checked_conditions("http", ["[STATUS] = 200"])

    assert "conditions.1" in refused.value.detail
    assert "knows no [STATUS]; it knows [BODY], [CONNECTED]" in refused.value.detail
