"""Each form is read as its writers mean it, and none can fill the memory."""

import json
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from mainstay_server.areas.results.models import CaseStatus, Kind
from mainstay_server.areas.results.providers import Reader, junit, ledger, metrics, reader_of
from mainstay_server.areas.results.schemas.parsed import MOST_CASES
from mainstay_server.kernel.problems import Invalid, TooLarge

BILLION_LAUGHS = (
    b'<!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">]>'
    b"<testsuites><testcase name='&b;'/></testsuites>"
)


def test_suites_in_suites_errors_and_reruns_are_read() -> None:
    report = """<?xml version="1.0" encoding="utf-8"?>
    <testsuites><testsuite name="outer"><testsuite name="inner">
      <testcase classname="a.B" name="runs" time="1,234.5"/>
      <testcase file="b.js" name="breaks"><error type="E">line 1
line 2</error><system-out>noise</system-out></testcase>
      <testcase name="alone"><skipped message="not here"/></testcase>
      <testcase classname="a.B" name="flaky" time="1"><failure message="once"/></testcase>
      <testcase classname="a.B" name="flaky" time="2"/>
    </testsuite></testsuite></testsuites>"""
    cases = {case.name: case for case in junit.read(report.encode()).cases}
    assert {name: case.status.value for name, case in cases.items()} == {
        "a.B::runs": "passed",
        "b.js::breaks": "failed",
        "alone": "skipped",
        "a.B::flaky": "failed",
    }
    assert cases["a.B::runs"].seconds == 1234.5
    assert cases["a.B::flaky"].seconds == 3
    assert cases["b.js::breaks"].message == "line 1\nline 2"
    assert cases["alone"].message == "not here"


def test_no_document_type_no_endless_depth_and_no_odd_encoding() -> None:
    for body in (
        BILLION_LAUGHS,
        b"<testsuites>" + b"<testsuite>" * 200,
        b'<?xml version="1.0" encoding="klingon"?><testsuites/>',
    ):
        with pytest.raises(Invalid):
            junit.read(body)
    with pytest.raises(TooLarge):
        junit.read(b"<testsuite>" + b"<testcase/>" * (MOST_CASES + 1) + b"</testsuite>")


def test_a_ledger_is_a_list_an_object_with_one_or_a_step_a_line() -> None:
    steps = [
        {"name": "build", "status": "Success", "durationMs": 1500},
        {"id": 7, "success": False, "error": "it broke", "duration": 2},
        {"step": "deploy", "state": "skipped"},
        {"outcome": "ok"},
    ]
    expected = [
        ("7", CaseStatus.FAILED, 2, "it broke"),
        ("build", CaseStatus.PASSED, 1.5, ""),
        ("deploy", CaseStatus.SKIPPED, 0, ""),
        ("step 4", CaseStatus.PASSED, 0, ""),
    ]
    lines = "\n".join(map(json.dumps, steps))
    for body in (json.dumps(steps), json.dumps({"steps": steps, "score": 7.5}), lines):
        found = ledger.read(body.encode())
        assert [(c.name, c.status, c.seconds, c.message) for c in found.cases] == expected
    assert ledger.read(json.dumps({"runs": steps, "score": 7.5}).encode()).metrics == {"score": 7.5}


def test_a_name_that_is_no_text_is_passed_over() -> None:
    parsed = ledger.read(b'[{"name": ["x"], "id": 7, "ok": true}, {"name": {}, "ok": false}]')
    assert [case.name for case in parsed.cases] == ["7", "step 2"]


def test_an_unknown_outcome_is_refused_and_not_guessed() -> None:
    with pytest.raises(Invalid, match="step 1 has 'perhaps'"):
        ledger.read(b'[{"name": "a", "status": "perhaps"}]')
    with pytest.raises(Invalid, match="step 2 is no object"):
        ledger.read(b'[{"name": "a", "status": "ok"}, 5]')


def test_numbers_have_paths_and_lists_count() -> None:
    told = {
        "coverage": {"lines": 93.1, "ok": True, "text": "12"},
        "files": [{"name": "a.py", "issues": 3}, {"name": "b.py", "issues": 0}, 17],
        "huge": 1e308,
    }
    assert metrics.read(json.dumps(told).encode()).metrics == {
        "coverage.lines": 93.1,
        "files.a.py.issues": 3,
        "files.b.py.issues": 0,
        "files.count": 3,
    }
    with pytest.raises(TooLarge):
        metrics.read(json.dumps({str(n): n for n in range(2001)}).encode())


def test_deep_json_is_refused_and_tests_may_be_told_in_json() -> None:
    with pytest.raises(Invalid):
        metrics.read(b'{"a":' * 20_000 + b"1" + b"}" * 20_000)
    body = b'[{"test": "a", "outcome": "passed"}]'
    assert reader_of(Kind.TEST_REPORT, body)(body).cases[0].name == "a"
    assert reader_of(Kind.TEST_REPORT, b"\xef\xbb\xbf <testsuite/>") is junit.read


def seconds_of(read: Reader, body: bytes) -> float:
    """What it takes of the processor, whoever else has it."""
    begun = time.process_time()
    with suppress(Invalid):
        read(body)
    return time.process_time() - begun


@pytest.mark.parametrize(
    ("read", "make"),
    [
        (junit.read, lambda n: b"<testsuite><testcase><failure>" + b" <a/>" * n),
        (junit.read, lambda n: b"<testsuite><testcase>" + b"<failure> </failure>" * n),
        (metrics.read, lambda n: b'{"' + b"k" * n + b'": {' + b'"a":"",' * n + b'"b":1}}'),
    ],
)
def test_twice_as_much_takes_about_twice_as_long(
    read: Reader, make: Callable[[int], bytes]
) -> None:
    some, much = (min(seconds_of(read, make(n)) for _ in range(2)) for n in (10_000, 80_000))
    assert much < 32 * max(some, 0.005), "eight times as much took the square of it"


def test_numbers_beyond_all_measure_are_none() -> None:
    report = b"<testsuite>" + b'<testcase name="a" time="1.7e308"/>' * 2 + b"</testsuite>"
    assert [case.seconds for case in junit.read(report).cases] == [0.0]
    for number in (b"9" * 5000, b"1e999", b"-1e308"):
        body = b'[{"name":' + number + b',"status":"ok","seconds":' + number + b"}]"
        with suppress(Invalid):
            assert [case.seconds for case in ledger.read(body).cases] == [0.0]


def test_a_name_of_any_shape_is_passed_over() -> None:
    told = [{"name": {"odd": []}, "id": ["a"], "title": "migrate", "status": "ok"}]
    assert [case.name for case in ledger.read(json.dumps(told).encode()).cases] == ["migrate"]
