"""What a scan changes: new, still there, gone, back; and nothing that is not its own."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from mainstay_server.areas.vulnerabilities.models import Decision, Scan, Status
from mainstay_server.areas.vulnerabilities.service import deciding
from mainstay_server.contracts.vulnerabilities import (
    VulnerabilitiesFound,
    VulnerabilityScanUploaded,
)
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Conflict
from mainstay_server.kernel.settings import forget_settings
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.areas.vulnerabilities.worlds import (
    DAY,
    HOUR,
    NOON,
    findings,
    osv_scan,
    pip_audit,
    result,
    sarif,
    states,
    uploaded,
)
from tests.conftest import Said
from tests.databases import on_both_stores
from tests.world import a_project

pytestmark = on_both_stores


def changes(scan: Scan) -> tuple[int, int, int, int]:
    """How many it names, and how many of them are new, back and gone."""
    return scan.findings, scan.new, scan.reopened, scan.fixed


def test_the_same_scan_twice_changes_nothing(session: Session, instance: InstanceRef) -> None:
    scan = sarif(result("B602"), result("B105", line=7))
    assert changes(uploaded(session, instance, scan)) == (2, 2, 0, 0)
    before = [(one.id, one.first_seen_at) for one in findings(session)]

    assert changes(uploaded(session, instance, scan, now=NOON + HOUR)) == (2, 0, 0, 0)

    assert [(one.id, one.first_seen_at) for one in findings(session)] == before
    assert {one.last_seen_at for one in findings(session)} == {NOON + HOUR}


def test_what_a_later_scan_does_not_name_is_fixed_with_when_and_in_what(
    session: Session, instance: InstanceRef
) -> None:
    uploaded(session, instance, sarif(result("B602"), result("B105")))

    later = uploaded(
        session, instance, sarif(result("B105")), now=NOON + DAY, release="1.4.0", commit="9f2c1e7"
    )

    assert changes(later) == (1, 0, 0, 1)
    (fixed,) = findings(session, Status.FIXED)
    assert (fixed.rule, fixed.fixed_at) == ("B602", NOON + DAY)
    assert (fixed.fixed_release, fixed.fixed_commit) == ("1.4.0", "9f2c1e7")


def test_what_comes_back_is_the_same_finding_reopened(
    session: Session, instance: InstanceRef
) -> None:
    uploaded(session, instance, sarif(result("B602")))
    uploaded(session, instance, sarif(), now=NOON + HOUR, release="1.4.0")

    back = uploaded(session, instance, sarif(result("B602")), now=NOON + DAY)

    assert changes(back) == (1, 0, 1, 0)
    (finding,) = findings(session)
    assert (finding.status, finding.reopened_at) == (Status.OPEN, NOON + DAY)
    assert (finding.fixed_at, finding.fixed_release) == (None, "")
    assert finding.first_seen_at == NOON


def test_lines_that_move_and_checkouts_that_lie_elsewhere_make_nothing_new(
    session: Session, instance: InstanceRef
) -> None:
    uploaded(session, instance, sarif(result(line=41)))
    moved = result(path="file:///home/runner/work/ship/ship/app/export.py", line=55)

    assert changes(uploaded(session, instance, sarif(moved), now=NOON + HOUR)) == (1, 0, 0, 0)

    (finding,) = findings(session)
    assert finding.places == ["app/export.py:55"]


def test_a_scan_closes_only_what_its_own_source_named(
    session: Session, instance: InstanceRef
) -> None:
    uploaded(session, instance, sarif(result("B602")))
    uploaded(session, instance, sarif(result("py.exec"), tool="Semgrep"), now=NOON + HOUR)
    uploaded(session, instance, sarif(tool="Semgrep"), now=NOON + DAY)
    assert states(session) == {"B602": "open", "py.exec": "fixed"}


def test_one_scanner_used_for_two_parts_needs_two_sources(
    session: Session, instance: InstanceRef
) -> None:
    uploaded(session, instance, sarif(result("B602")), source="backend")
    uploaded(session, instance, sarif(result("B105")), source="frontend")
    assert states(session) == {"B602": "open", "B105": "open"}


def test_a_partial_scan_closes_nothing(session: Session, instance: InstanceRef) -> None:
    uploaded(session, instance, sarif(result("B602")))
    part = uploaded(session, instance, sarif(result("B105")), now=NOON + HOUR, complete=False)
    assert (changes(part), part.complete) == ((1, 1, 0, 0), False)
    assert states(session) == {"B602": "open", "B105": "open"}


def test_a_run_that_failed_closes_nothing(session: Session, instance: InstanceRef) -> None:
    uploaded(session, instance, sarif(result("B602")))
    failed = sarif(invocations=[{"executionSuccessful": False}])
    assert uploaded(session, instance, failed, now=NOON + HOUR).complete is False
    assert states(session) == {"B602": "open"}


def test_an_older_scan_that_arrives_later_changes_nothing(
    session: Session, instance: InstanceRef
) -> None:
    uploaded(session, instance, sarif(result("B602")), now=NOON, scanned_at=NOON)
    older = sarif(result("B105"))
    late = uploaded(session, instance, older, now=NOON + HOUR, scanned_at=NOON - DAY)
    assert (late.outdated, changes(late)) == (True, (1, 0, 0, 0))
    assert states(session) == {"B602": "open"}


def test_a_clock_that_is_ahead_does_not_shut_out_the_scans_after_it(
    session: Session, instance: InstanceRef
) -> None:
    uploaded(session, instance, sarif(result("B602")), scanned_at=NOON + 900 * DAY)
    assert uploaded(session, instance, sarif(), now=NOON + HOUR).outdated is False
    assert states(session) == {"B602": "fixed"}


def test_a_clock_that_is_set_back_shuts_out_no_scan_and_a_little_apart_still_orders_them(
    session: Session, instance: InstanceRef
) -> None:
    uploaded(session, instance, sarif(result("B602")), now=NOON)
    assert uploaded(session, instance, sarif(), now=NOON - timedelta(minutes=5)).outdated is True
    assert states(session) == {"B602": "open"}

    assert uploaded(session, instance, sarif(), now=NOON - DAY).outdated is False
    assert states(session) == {"B602": "fixed"}


def test_what_two_sources_name_is_fixed_when_neither_names_it(
    session: Session, instance: InstanceRef
) -> None:
    uploaded(
        session, instance, pip_audit(("jinja2", "3.1.5", "CVE-2025-1", ["GHSA-aaaa-bbbb-cccc"]))
    )
    record = {"id": "GHSA-aaaa-bbbb-cccc", "aliases": ["CVE-2025-1"]}
    uploaded(session, instance, osv_scan("Jinja2", record), now=NOON + HOUR)
    (finding,) = findings(session)
    assert finding.identifiers == ["CVE-2025-1", "GHSA-aaaa-bbbb-cccc"]

    assert uploaded(session, instance, pip_audit(), now=NOON + 2 * HOUR).fixed == 0
    assert uploaded(session, instance, osv_scan("Jinja2"), now=NOON + 3 * HOUR).fixed == 1


def test_two_findings_that_turn_out_to_be_one_become_one(
    session: Session, instance: InstanceRef
) -> None:
    """One scanner knows the CVE, one the GHSA, and a third that they are the same."""
    uploaded(session, instance, pip_audit(("a-b", "1", "CVE-2025-1000", [])), source="one")
    uploaded(session, instance, osv_scan("A_b", {"id": "GHSA-aaaa-bbbb-cccc"}), source="two")
    first, second = findings(session)
    deciding.decide(
        session, instance, second.id, Decision.FALSE_POSITIVE, reason="not reached", now=NOON
    )

    both = {"id": "PYSEC-2025-1", "aliases": ["GHSA-aaaa-bbbb-cccc", "CVE-2025-1000"]}
    uploaded(session, instance, osv_scan("a.b", both), now=NOON + HOUR, source="three")

    (left,) = findings(session)
    assert left.id == first.id
    assert left.identifiers == ["CVE-2025-1000", "GHSA-aaaa-bbbb-cccc", "PYSEC-2025-1"]
    assert (left.decision, left.decided_reason) == ("false_positive", "not reached")
    assert left.status == Status.FALSE_POSITIVE
    uploaded(session, instance, pip_audit(), now=NOON + 2 * HOUR, source="one")
    assert [one.present for one in findings(session)] == [True], "two others name it still"


def test_thousands_of_advisories_of_one_package_are_told_apart(
    session: Session, instance: InstanceRef
) -> None:
    """Each is looked up by its names; comparing each with each would take minutes."""
    records = [
        {"id": f"GHSA-aaaa-bbbb-{i:04d}", "aliases": [f"CVE-2025-{i:05d}"]} for i in range(5000)
    ]
    scan = osv_scan("kernel", *records)
    assert changes(uploaded(session, instance, scan)) == (5000, 5000, 0, 0)
    assert changes(uploaded(session, instance, scan, now=NOON + HOUR)) == (5000, 0, 0, 0)


def test_a_decision_outlives_that_the_finding_goes_and_comes_back(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    uploaded(session, instance, sarif(result("B602")))
    (finding,) = findings(session)
    deciding.decide(session, instance, finding.id, Decision.FALSE_POSITIVE, reason="no", now=NOON)
    uploaded(session, instance, sarif(), now=NOON + HOUR)
    assert states(session) == {"B602": "fixed"}
    said()

    back = uploaded(session, instance, sarif(result("B602")), now=NOON + DAY)

    assert (back.reopened, states(session)) == (0, {"B602": "false_positive"})
    assert not [one for one in said() if isinstance(one, VulnerabilitiesFound)]


def test_a_branch_has_findings_of_its_own_until_they_are_merged(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    uploaded(session, instance, sarif(result("B602")), branch="main")
    said()
    on_branch = sarif(result("B602"), result("B105"))
    uploaded(session, instance, on_branch, now=NOON + HOUR, branch="feature")
    assert states(session) == {"B602": "open", "B105": "unmerged"}
    assert not [one for one in said() if isinstance(one, VulnerabilitiesFound)]

    uploaded(session, instance, sarif(), now=NOON + HOUR, branch="other")
    assert states(session) == {"B602": "open", "B105": "unmerged"}

    merged = uploaded(session, instance, on_branch, now=NOON + DAY)
    assert (merged.new, states(session)) == (1, {"B602": "open", "B105": "open"})


def test_what_is_new_is_said_once_for_the_whole_scan(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    scan = uploaded(session, instance, sarif(result("B602"), result("B105", level="note")))
    uploaded_event, found = said()
    assert isinstance(uploaded_event, VulnerabilityScanUploaded)
    assert uploaded_event.changes["new"] == (None, 2)
    assert isinstance(found, VulnerabilitiesFound)
    assert (found.scan_id, found.by_severity) == (scan.id, {"high": 1, "low": 1})
    assert found.titles[0] == "subprocess call with shell=True (high)"


def test_instances_do_not_share_findings(session: Session, instance: InstanceRef) -> None:
    other = a_project(session, now=NOON, organization="Rivals", slug="spying", number=2)
    uploaded(session, instance, sarif(result("B602")))
    assert uploaded(session, other, sarif(result("B602"))).new == 1
    uploaded(session, other, sarif(), now=NOON + HOUR)
    assert sorted((one.instance_id == other.id, one.status) for one in findings(session)) == [
        (False, "open"),
        (True, "fixed"),
    ]


def test_an_instance_that_is_full_says_so_and_loses_nothing(
    session: Session, instance: InstanceRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSTAY_VULNERABILITIES_PER_INSTANCE", "2")
    forget_settings()
    uploaded(session, instance, sarif(result("B602"), result("B105")))
    with pytest.raises(Conflict, match="may have 2"):
        uploaded(session, instance, sarif(result("B1"), result("B2")), now=NOON + HOUR)
    assert uploaded(session, instance, sarif(result("B602")), now=NOON + DAY).fixed == 1


def test_two_uploads_at_the_same_moment_make_one_finding(
    shared_memory: None, database: None
) -> None:
    with transaction() as session:
        instance = a_project(session, now=NOON)
    scan = sarif(*(result(f"B{number}") for number in range(40)))

    def upload(_turn: int) -> int:
        with transaction() as session:
            return uploaded(session, instance, scan, now=NOON).new

    with ThreadPoolExecutor(4) as threads:
        new = list(threads.map(upload, range(8)))

    assert sorted(new) == [0] * 7 + [40]
    with reading() as session:
        assert len(findings(session)) == 40
