"""Grouping: what is the same error, what is another, and what it is called."""

from copy import deepcopy
from typing import Any

import msgspec
import pytest
from mainstay_server.areas.errors.service.decoding import decode_event
from mainstay_server.areas.errors.service.grouping import (
    Grouped,
    group,
    issue_id_of,
    without_what_varies,
)

from .conftest import an_event


def grouped(event: dict[str, Any]) -> Grouped:
    return group(decode_event(msgspec.json.encode(event))[0])


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return grouped(one).hash == grouped(other).hash


def with_frame(**fields: Any) -> dict[str, Any]:
    event = an_event()
    event["exception"]["values"][0]["stacktrace"]["frames"][0].update(fields)
    return event


def with_frames(*frames: dict[str, Any]) -> dict[str, Any]:
    event = an_event()
    event["exception"]["values"][0]["stacktrace"]["frames"] = list(frames)
    return event


def frame(function: str, *, in_app: bool = True, line: str = "    go()") -> dict[str, Any]:
    return {"module": "app", "function": function, "in_app": in_app, "context_line": line}


def bare(kind: str, value: str) -> dict[str, Any]:
    return {"exception": {"values": [{"type": kind, "value": value}]}}


def test_the_same_error_at_another_line_after_an_edit_is_one() -> None:
    assert same(with_frame(lineno=7), with_frame(lineno=19))


def test_the_same_error_in_another_installation_is_one() -> None:
    one = with_frame(module=None, filename="/srv/a/app/views.py", abs_path="/srv/a/app/views.py")
    other = with_frame(module=None, filename="/opt/b/app/views.py", abs_path="/opt/b/app/views.py")
    assert same(one, other)


def test_two_functions_are_two_issues() -> None:
    assert not same(an_event(), with_frame(function="multiply"))


def test_two_types_are_two_issues() -> None:
    other = an_event()
    other["exception"]["values"][0]["type"] = "OverflowError"
    assert not same(an_event(), other)


def test_two_ways_to_fail_in_one_function_are_two_issues() -> None:
    assert not same(an_event(), with_frame(context_line="    raise ValueError('no')"))


def test_what_an_exception_says_does_not_matter_when_there_is_a_stack() -> None:
    other = an_event()
    other["exception"]["values"][0]["value"] = "something else"
    assert same(an_event(), other)


def test_calls_of_libraries_do_not_matter_when_the_app_is_in_the_stack() -> None:
    one = with_frames(frame("main"), frame("send", in_app=False))
    other = with_frames(frame("main"), frame("transmit", in_app=False))
    assert same(one, other)


def test_calls_of_libraries_count_when_there_is_nothing_else() -> None:
    one = with_frames(frame("send", in_app=False))
    other = with_frames(frame("transmit", in_app=False))
    assert not same(one, other)


def test_the_depth_of_a_recursion_does_not_matter() -> None:
    deep = with_frames(frame("main"), *[frame("walk"), frame("visit")] * 40)
    assert same(deep, with_frames(frame("main"), frame("walk"), frame("visit")))


def test_the_cause_of_an_exception_counts() -> None:
    chained = an_event()
    cause = deepcopy(chained["exception"]["values"][0]) | {"type": "KeyError"}
    chained["exception"]["values"].insert(0, cause)
    assert not same(an_event(), chained)


def test_hashes_in_the_names_of_bundles_do_not_matter() -> None:
    one = with_frame(module=None, filename="https://a.example/main.0123456789ab.js", function="f")
    other = with_frame(module=None, filename="https://a.example/main.ba9876543210.js", function="f")
    assert same(one, other)


def test_a_minified_line_does_not_matter() -> None:
    assert same(with_frame(context_line="a" * 5000), with_frame(context_line="b" * 5000))


def test_nameless_functions_are_told_apart_by_their_line() -> None:
    one = with_frame(function="<lambda>", context_line="sort(key=lambda a: a.b)")
    other = with_frame(function="<lambda>", context_line="sort(key=lambda a: a.c)")
    assert not same(one, other)


def test_exceptions_without_a_stack_are_told_apart_by_what_they_say_without_what_varies() -> None:
    assert same(bare("ValueError", "order 17 is lost"), bare("ValueError", "order 4711 is lost"))
    assert not same(bare("ValueError", "order 17 is lost"), bare("ValueError", "order 17 is late"))
    assert not same(bare("ValueError", "order 17"), bare("TypeError", "order 17"))


def test_a_template_is_worth_more_than_what_became_of_it() -> None:
    one = {"logentry": {"message": "user %s left", "formatted": "user ann left"}}
    other = {"logentry": {"message": "user %s left", "formatted": "user bob left"}}
    assert same(one, other)


def test_messages_of_two_loggers_or_levels_are_two_issues() -> None:
    assert not same({"message": "x", "logger": "a"}, {"message": "x", "logger": "b"})
    assert not same({"message": "x", "level": "info"}, {"message": "x", "level": "error"})


def test_the_app_may_say_what_belongs_together() -> None:
    assert same(
        an_event(fingerprint=["mine"]), with_frame(function="other") | {"fingerprint": ["mine"]}
    )
    assert not same(an_event(fingerprint=["mine"]), an_event(fingerprint=["yours"]))


def test_default_in_a_fingerprint_stands_for_the_rules() -> None:
    assert same(an_event(fingerprint=["{{ default }}"]), an_event())
    one, other = (
        an_event(fingerprint=["{{default}}", "a"]),
        an_event(fingerprint=["{{ default }}", "b"]),
    )
    assert not same(one, other)
    assert not same(one, with_frame(function="f") | {"fingerprint": ["{{ default }}", "a"]})


def test_an_event_that_only_has_a_stack_is_told_by_it() -> None:
    stack = {"frames": [frame("main")]}
    assert same({"stacktrace": stack}, {"threads": [{"current": True, "stacktrace": stack}]})
    assert not same({"stacktrace": stack}, {"stacktrace": {"frames": [frame("other")]}})


def test_an_empty_event_has_a_group_too() -> None:
    assert grouped({}).title == "An event without a message"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("took 31.5 s for 12,000 rows", "took <number> s for <number> rows"),
        ("row 550e8400-e29b-41d4-a716-446655440000 is gone", "row <uuid> is gone"),
        ("since 2026-11-21T03:27:08.512Z", "since <date>"),
        ("at 03:27:08 again", "at <time> again"),
        ("from 10.0.0.7 port 443", "from <ip> port <number>"),
        ("mail to ann@ships.example failed", "mail to <email> failed"),
        ("GET https://a.example/b?c=1 failed", "GET <url> failed"),
        ("object at 0x7fb7c30dc720", "object at <hex>"),
        ("commit 0123abcd4567 is bad", "commit <hex> is bad"),
        ("no column 'name' in \"people\"", "no column <quoted> in <quoted>"),
        ("it can't be, and it won't", "it can't be, and it won't"),
        ("utf8 and x86 stay", "utf8 and x86 stay"),
        ("two\n  lines", "two lines"),
    ],
)
def test_what_varies_in_a_message_is_replaced_by_what_it_is(said: str, kept: str) -> None:
    assert without_what_varies(said) == kept


@pytest.mark.parametrize(
    ("event", "title", "culprit"),
    [
        (an_event(), "ZeroDivisionError: division by zero", "app.views in divide"),
        (bare("KeyError", "'a'\nmore"), "KeyError: 'a'", ""),
        (bare("KeyError", ""), "KeyError", ""),
        ({"message": "hello\nworld", "transaction": "/a"}, "hello", "/a"),
        ({"logentry": {"message": "user %s", "formatted": "user ann"}}, "user ann", ""),
        ({"message": {"message": "user %s"}, "logger": "web"}, "user %s", "web"),
    ],
)
def test_an_issue_is_called_what_people_expect(
    event: dict[str, Any], title: str, culprit: str
) -> None:
    found = grouped(event)
    assert (found.title, found.culprit) == (title, culprit)


@pytest.mark.parametrize(
    ("sent", "level"),
    [(None, "error"), ("WARN", "warning"), ("critical", "fatal"), ("info", "info"), ("x", "error")],
)
def test_a_level_is_one_of_five(sent: str | None, level: str) -> None:
    assert grouped({"message": "x", "level": sent}).level == level


def test_an_issue_has_the_same_id_in_every_process_and_another_in_every_project() -> None:
    assert issue_id_of("p", "a" * 32) == "224d0975-932e-8b51-a3e1-08bc0e4752a5"
    assert issue_id_of("p", "a" * 32) != issue_id_of("q", "a" * 32)
