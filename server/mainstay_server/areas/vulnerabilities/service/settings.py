"""How an instance takes scans: which branch is its main one."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.vulnerabilities.models import MAIN, ScanSource, VulnerabilitySettings
from mainstay_server.contracts.vulnerabilities import VulnerabilitySettingsChanged
from mainstay_server.kernel.database import insert
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.subjects import InstanceRef

FACTS = ("main_branch",)


def main_branch_of(session: Session, instance_id: str) -> str:
    """The name of an instance's main branch."""
    row = session.get(VulnerabilitySettings, instance_id)
    return row.main_branch if row else MAIN


def lock_settings(session: Session, instance_id: str) -> VulnerabilitySettings:
    """The settings of an instance, held until the transaction ends: one scan after the other."""
    row = insert(VulnerabilitySettings).values(instance_id=instance_id, main_branch=MAIN)
    session.execute(row.on_conflict_do_nothing())
    return session.get_one(VulnerabilitySettings, instance_id, with_for_update=True)


def change_main_branch(
    session: Session, instance: InstanceRef, name: str, *, now: datetime
) -> VulnerabilitySettings:
    """Say which branch is the main one: its scans tell what is true of the instance.

    What was known of that branch as one of many is forgotten; its next scan begins anew.
    """
    row = lock_settings(session, instance.id)
    before = facts_of(row, FACTS)
    row.main_branch = name
    session.execute(
        sa.delete(ScanSource).where(
            ScanSource.instance_id == instance.id, ScanSource.branch == name
        )
    )
    session.flush()
    changes = changes_between(before, facts_of(row, FACTS))
    if changes:
        say(session, VulnerabilitySettingsChanged(**instance.ids, changes=changes), now=now)
    return row
