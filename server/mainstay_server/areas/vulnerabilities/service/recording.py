"""Taking a scan in: what is new, what is gone, what came back, and saying so once."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.vulnerabilities.models import (
    Scan,
    ScanSource,
    Severity,
    Sighting,
    Status,
    VulnerabilityFinding,
)
from mainstay_server.areas.vulnerabilities.schemas.found import LONGEST_NAME, one_line
from mainstay_server.areas.vulnerabilities.settings import VulnerabilitySettingsOfServer
from mainstay_server.contracts.vulnerabilities import (
    VulnerabilitiesFound,
    VulnerabilityScanUploaded,
)
from mainstay_server.kernel.batching import batched
from mainstay_server.kernel.database import insert, new_id
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.problems import Conflict
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.subjects import InstanceRef

from .identities import Identified
from .matching import CHUNK, Known, Matched, match
from .reading import Read
from .settings import lock_settings
from .states import status_of
from .trends import record_open

MOST_TOLD = 5
CLOCKS_DIFFER = timedelta(minutes=5)
Finding = VulnerabilityFinding


@dataclass(frozen=True, kw_only=True)
class About:
    """What the sender says of a scan. Without a source the scan's own name for itself is taken."""

    source: str = ""
    branch: str = ""
    commit: str = ""
    release: str = ""
    complete: bool = True
    scanned_at: datetime | None = None


@dataclass(kw_only=True)
class _Outcome:
    """What a scan changed: ids by what became of them, and what to tell of the new."""

    new: list[tuple[str, Severity, str]] = field(default_factory=list)
    reopened: list[tuple[str, Severity, str]] = field(default_factory=list)
    fixed: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many of each."""
        return {
            "new": len(self.new),
            "fixed": len(self.fixed),
            "reopened": len(self.reopened),
        }


def record_scan(
    session: Session, instance: InstanceRef, read: Read, about: About, *, now: datetime
) -> Scan:
    """Take in a scan: every finding that it names, and those that it does not name any more.

    What an earlier scan of the same source and branch named and a complete one of now does not is
    gone; it is fixed when no other source of the main branch names it. A scan that is not complete
    closes nothing, and none closes what only other sources named. A scan older than the newest of
    its source changes nothing. Uploads of an instance wait for each other, so that two at once
    make one finding, not two.

    Raises:
        Conflict: the instance has as many findings as it may have.
    """
    settings = lock_settings(session, instance.id)
    document = read.document
    branch = "" if about.branch == settings.main_branch else about.branch
    name = one_line(about.source or document.source or document.tool or document.kind, LONGEST_NAME)
    scanned_at = min(about.scanned_at or document.scanned_at or now, now)
    source, outdated = _source(session, instance.id, (name, branch), about, scanned_at, now=now)
    outcome = _Outcome()
    complete = about.complete and document.complete
    if not outdated:
        matched = match(session, instance.id, read.findings, now=now)
        _refuse_when_full(session, instance.id, len(matched.new))
        changed = _Changing(session, instance.id, source, about, scanned_at, now)
        outcome = changed.take(matched, complete=complete)
    scan = Scan(
        id=new_id(),
        instance_id=instance.id,
        source=name,
        branch=branch,
        tool=one_line(document.tool, 100),
        kind=document.kind,
        commit=about.commit,
        release=about.release,
        complete=complete,
        outdated=outdated,
        scanned_at=scanned_at,
        received_at=now,
        findings=len(read.findings),
        suppressed=document.suppressed,
        components=document.components,
        **outcome.counts,
    )
    session.add(scan)
    session.flush()
    record_open(session, instance.id, now=now)
    _say(session, instance, scan, source, outcome, now=now)
    return scan


def _source(
    session: Session,
    instance_id: str,
    names: tuple[str, str],
    about: About,
    scanned_at: datetime,
    *,
    now: datetime,
) -> tuple[ScanSource, bool]:
    """The line of scans that this one belongs to, and whether it is behind what is known of it.

    A line whose newest scan lies well ahead of now is from before the clock was set back; it holds
    no scan up.
    """
    name, branch = names
    source = session.scalar(
        sa.select(ScanSource).where(
            ScanSource.instance_id == instance_id,
            ScanSource.name == name,
            ScanSource.branch == branch,
        )
    )
    if source is None:
        source = ScanSource(
            id=new_id(),
            instance_id=instance_id,
            name=name,
            branch=branch,
            is_main=branch == "",
            scanned_at=scanned_at,
            commit=about.commit,
        )
        session.add(source)
        session.flush()
        return source, False
    if scanned_at < source.scanned_at <= now + CLOCKS_DIFFER:
        return source, True
    source.scanned_at, source.commit = scanned_at, about.commit
    session.flush()
    return source, False


def _refuse_when_full(session: Session, instance_id: str, new: int) -> None:
    most = of(VulnerabilitySettingsOfServer).vulnerabilities_per_instance
    if not new:
        return
    count = sa.select(sa.func.count()).where(Finding.instance_id == instance_id)
    known = session.scalar(count) or 0
    if known + new > most:
        raise Conflict(
            f"The instance has {known:,} findings and may have {most:,}; {new:,} new ones do not"
            " fit. Name fewer in the scan, or raise MAINSTAY_VULNERABILITIES_PER_INSTANCE.",
            code="findings-full",
        )


class _Changing:
    """One scan's way through the tables; every statement is about hundreds of rows at once."""

    def __init__(
        self,
        session: Session,
        instance_id: str,
        source: ScanSource,
        about: About,
        scanned_at: datetime,
        now: datetime,
    ) -> None:
        self._session = session
        self._instance_id = instance_id
        self._source = source
        self._about = about
        self._scanned_at = scanned_at
        self._now = now

    def take(self, matched: Matched, *, complete: bool) -> _Outcome:
        """Write down what the scan names, and what it does not name any more."""
        outcome = _Outcome()
        made = self._make(matched.new, outcome)
        self._describe(matched)
        seen = [*made, *matched.known]
        gone = self._look_again(seen, complete=complete)
        if self._source.is_main:
            self._bring_up_to_main([known for known, _ in matched.known.values()], matched, outcome)
            self._fix(gone, outcome)
        return outcome

    def _make(self, new: Sequence[Identified], outcome: _Outcome) -> list[str]:
        main = self._source.is_main
        rows = []
        for each in new:
            row = _described(each) | {
                "id": new_id(),
                "instance_id": self._instance_id,
                "fingerprint": each.fingerprint,
                "subject": each.found.subject,
                "tool": each.found.tool,
                "package": each.found.package,
                "status": Status.OPEN if main else Status.UNMERGED,
                "present": main,
                "first_seen_at": self._scanned_at,
                "last_seen_at": self._scanned_at,
                "main_since": self._scanned_at if main else None,
                "fixed_release": "",
                "fixed_commit": "",
                "decision": "",
                "decided_reason": "",
            }
            rows.append(row)
            if main:
                outcome.new.append((row["id"], each.found.severity, each.found.title))
        if rows:
            self._session.execute(sa.insert(Finding), rows)
        return [row["id"] for row in rows]

    def _describe(self, matched: Matched) -> None:
        """Tell anew what a scan tells otherwise than the one before; mark all as seen."""
        changed = [
            {"id": known.id, **_described(each)}
            for known, each in matched.known.values()
            if known.digest != each.digest or known.identifiers != each.found.identifiers
        ]
        if changed:
            self._session.execute(sa.update(Finding), changed)
        self._set(matched.known, last_seen_at=self._scanned_at)

    def _look_again(self, seen: Sequence[str], *, complete: bool) -> list[str]:
        """Write down what the source sees; returns what it saw and does not see any more."""
        before = {
            row.finding_id: row.present
            for row in self._session.execute(
                sa.select(Sighting.finding_id, Sighting.present).where(
                    Sighting.source_id == self._source.id
                )
            )
        }
        rows = [
            {"source_id": self._source.id, "finding_id": finding_id, "present": True}
            for finding_id in seen
            if finding_id not in before
        ]
        if rows:
            self._session.execute(insert(Sighting).on_conflict_do_nothing(), rows)
        self._mark([one for one in seen if before.get(one) is False], present=True)
        if not complete:
            return []
        now_seen = set(seen)
        gone = [one for one, present in before.items() if present and one not in now_seen]
        self._mark(gone, present=False)
        return gone

    def _mark(self, finding_ids: Sequence[str], *, present: bool) -> None:
        for part in batched(finding_ids, CHUNK):
            self._session.execute(
                sa.update(Sighting)
                .where(Sighting.source_id == self._source.id, Sighting.finding_id.in_(part))
                .values(present=present)
            )

    def _bring_up_to_main(
        self, known: Sequence[Known], matched: Matched, outcome: _Outcome
    ) -> None:
        """What was fixed came back; what was only on a branch has arrived."""
        by_status: dict[tuple[Status, bool], list[str]] = {}
        for one in known:
            if one.present:
                continue
            status = status_of(
                present=True,
                was_on_main=True,
                decision=one.decision,
                until=one.decided_until,
                now=self._now,
            )
            came_back = one.main_since is not None
            by_status.setdefault((status, came_back), []).append(one.id)
            found = matched.known[one.id][1].found
            if status is Status.OPEN:
                told = (one.id, found.severity, found.title)
                (outcome.reopened if came_back else outcome.new).append(told)
        for (status, came_back), ids in by_status.items():
            again: dict[str, Any] = (
                {"reopened_at": self._scanned_at} if came_back else {"main_since": self._scanned_at}
            )
            cleared = {"fixed_at": None, "fixed_release": "", "fixed_commit": ""}
            self._set(ids, present=True, status=status, **cleared, **again)

    def _fix(self, gone: Sequence[str], outcome: _Outcome) -> None:
        """What no source of the main branch names any more is fixed, by this scan's release."""
        still: set[str] = set()
        for part in batched(gone, CHUNK):
            still.update(
                self._session.scalars(
                    sa.select(Sighting.finding_id)
                    .join(ScanSource, ScanSource.id == Sighting.source_id)
                    .where(Sighting.finding_id.in_(part), Sighting.present, ScanSource.is_main)
                )
            )
        outcome.fixed = [one for one in gone if one not in still]
        self._set(
            outcome.fixed,
            present=False,
            status=Status.FIXED,
            fixed_at=self._scanned_at,
            fixed_release=self._about.release,
            fixed_commit=self._about.commit,
        )

    def _set(self, finding_ids: Collection[str], **values: Any) -> None:  # noqa: ANN401 - columns
        for part in batched(list(finding_ids), CHUNK):
            self._session.execute(sa.update(Finding).where(Finding.id.in_(part)).values(**values))


def _described(each: Identified) -> dict[str, Any]:
    """The columns that say what a finding is, as the newest scan tells it."""
    found = each.found
    return {
        "digest": each.digest,
        "rule": found.rule,
        "identifiers": found.identifiers,
        "title": found.title,
        "description": found.description,
        "severity": found.severity,
        "rank": found.severity.rank,
        "score": found.score,
        "versions": found.versions,
        "fixed_in": found.fixed_in,
        "places": found.places,
        "links": found.links,
    }


def _say(
    session: Session,
    instance: InstanceRef,
    scan: Scan,
    source: ScanSource,
    outcome: _Outcome,
    *,
    now: datetime,
) -> None:
    counts: Mapping[str, object] = {
        "findings": scan.findings,
        "new": scan.new,
        "fixed": scan.fixed,
        "reopened": scan.reopened,
        "release": scan.release,
        "commit": scan.commit,
    }
    uploaded = VulnerabilityScanUploaded(
        **instance.ids, scan_id=scan.id, source=scan.source, changes=changes_between({}, counts)
    )
    say(session, uploaded, now=now)
    told = sorted([*outcome.new, *outcome.reopened], key=lambda one: -one[1].rank)
    if not told or not source.is_main:
        return
    found = VulnerabilitiesFound(
        **instance.ids,
        scan_id=scan.id,
        source=scan.source,
        release=scan.release,
        by_severity=dict(Counter(str(severity) for _, severity, _ in told)),
        reopened=len(outcome.reopened),
        titles=[f"{title} ({severity})" for _, severity, title in told[:MOST_TOLD]],
    )
    say(session, found, now=now)
