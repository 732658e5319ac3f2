"""Whatever is made, tried, damaged, kept, retained or deleted: the last verified one survives."""

import shutil
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from mainstay_server.areas.backups.models import Backup, BackupCopy, BackupTarget
from mainstay_server.areas.backups.service import checking, keeping, removal, runs
from mainstay_server.areas.backups.service.manifests import manifest_key_of
from mainstay_server.areas.backups.service.retention import Kept, Policy
from mainstay_server.areas.backups.service.verifying import Fault, Verdict
from mainstay_server.kernel import outbound, shared
from mainstay_server.kernel.database import close_database, open_database, reading, transaction
from mainstay_server.kernel.problems import Conflict
from mainstay_server.kernel.settings import ServerSettings, forget_settings, override_settings
from tests.databases import fresh_sqlite
from typing_extensions import override

from .standing import a_folder, a_stored_backup, a_target, an_instance
from .test_service_retention import NOON, POLICIES, oracle
from .worlds import allow

ANY = st.integers(min_value=0, max_value=10_000)
HOURS = st.sampled_from([1, 6, 24, 25, 24 * 8, 24 * 45, 24 * 200, -1, -30, -24 * 20])


class Keeping(RuleBasedStateMachine):
    """A target with a past, beside what a few lines of Python know of it.

    The clock goes on by hours or months, over changes of the zone's clocks, and at times back.
    """

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp(prefix="mainstay-keeping-"))
        override_settings(ServerSettings(data_dir=self._folder))
        allow(self._folder)
        open_database(fresh_sqlite(self._folder))
        shared.open_shared("memory://")
        outbound.open_outbound(allow_private=True)
        self._now = NOON
        self._finished: dict[str, datetime] = {}
        self._verified: set[str] = set()
        self._kept: set[str] = set()
        self._policy = Policy()

    @override
    def teardown(self) -> None:
        outbound.close_outbound()
        shared.close_shared()
        close_database()
        forget_settings()
        shutil.rmtree(self._folder)

    @initialize(policy=POLICIES)
    def have_a_target(self, policy: Policy) -> None:
        self._policy = policy
        with transaction() as session:
            instance = an_instance(session)
            disk = a_folder(session, instance, self._folder / "disk")
            target = a_target(session, instance, self._folder, destinations=[disk.id])
            target.keep_days, target.keep_count = policy.days, policy.count
            target.keep_daily, target.keep_weekly = policy.daily, policy.weekly
            target.keep_monthly, target.keep_yearly = policy.monthly, policy.yearly
            target.time_zone = policy.time_zone

    @rule(hours=HOURS)
    def let_time_pass(self, hours: int) -> None:
        self._now += timedelta(hours=hours)

    @rule()
    def make_one(self) -> None:
        with transaction() as session:
            target = session.scalars(sa.select(BackupTarget)).one()
            backup = a_stored_backup(session, target, at=self._now)
            assert backup.finished_at is not None
            for key in (backup.key, manifest_key_of(backup.key, backup_id=backup.id)):
                path = self._folder / "disk" / key
                path.parent.mkdir(exist_ok=True)
                path.write_text(backup.id)
            self._finished[backup.id] = backup.finished_at
        self._now += timedelta(minutes=2)

    @precondition(lambda self: self._finished)
    @rule(chosen=ANY, is_whole=st.booleans())
    def try_one(self, chosen: int, *, is_whole: bool) -> None:
        """A drill or a reading with the key: it was whole, or damaged."""
        backup_id = self._chosen(chosen)
        fault = None if is_whole else Fault.CHANGED
        verdict = Verdict(fault, "It was tried.", is_opened=True)
        with transaction() as session:
            copy = session.scalars(
                sa.select(BackupCopy).where(BackupCopy.backup_id == backup_id)
            ).one()
            checking.record_verdict(session, copy.id, verdict, now=self._now)
        if is_whole:
            self._verified.add(backup_id)
        else:
            self._verified.discard(backup_id)

    @precondition(lambda self: self._finished)
    @rule(chosen=ANY, is_kept=st.booleans())
    def keep_one(self, chosen: int, *, is_kept: bool) -> None:
        backup_id = self._chosen(chosen)
        with transaction() as session:
            runs.keep(session, session.get_one(Backup, backup_id), is_kept=is_kept, now=self._now)
        (self._kept.add if is_kept else self._kept.discard)(backup_id)

    @precondition(lambda self: self._finished)
    @rule(chosen=ANY)
    def delete_one(self, chosen: int) -> None:
        backup_id = self._chosen(chosen)
        may_go = backup_id not in self._kept and backup_id != self._last_verified()
        try:
            removal.remove_backup(backup_id, now=self._now)
        except Conflict:
            assert not may_go
        else:
            assert may_go
            self._forget(backup_id)

    @rule()
    def retain(self) -> None:
        """What the preview says is what happens, and what the oracle says, too."""
        backups = [Kept(each, at, each in self._verified) for each, at in self._finished.items()]
        expected = oracle(backups, self._policy, self._now) | self._kept
        with reading() as session:
            target = session.scalars(sa.select(BackupTarget)).one()
            told = keeping.preview(session, target, now=self._now)
        assert {each.backup.id for each in told if each.decision.stays} == expected

        keeping.remove_old(now=self._now)

        for gone in self._finished.keys() - expected:
            self._forget(gone)

    @invariant()
    def what_is_there_is_what_is_known(self) -> None:
        disk = self._folder / "disk"
        there = {each.read_text() for each in disk.rglob("*.age")}
        assert there == set(self._finished)
        assert {each.read_text() for each in disk.rglob("*.manifest.json")} == there

    @invariant()
    def the_last_verified_one_is_there(self) -> None:
        if not self._finished:
            return
        with reading() as session:
            target_id = session.scalars(sa.select(BackupTarget.id)).one()
            assert removal.last_verified_id(session, target_id) == self._last_verified()

    def _chosen(self, number: int) -> str:
        return sorted(self._finished)[number % len(self._finished)]

    def _last_verified(self) -> str | None:
        found = [(at, each) for each, at in self._finished.items() if each in self._verified]
        return max(found)[1] if found else None

    def _forget(self, backup_id: str) -> None:
        del self._finished[backup_id]
        self._verified.discard(backup_id)
        self._kept.discard(backup_id)


TestKeeping = Keeping.TestCase
TestKeeping.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
