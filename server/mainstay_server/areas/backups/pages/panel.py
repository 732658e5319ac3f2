"""What the monitoring page and the overview show of backups."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.areas.backups.service import figures, targets
from mainstay_server.kernel.area import Panel, PanelRequest, Tile
from mainstay_server.ui import fragment
from mainstay_server.ui.formats import age_in_words

from .frame import views_of


def draw_panel(asked: PanelRequest) -> str:
    """Every target with its last backup, and what was proven."""
    instance = asked.instance
    found = targets.list_targets(asked.session, instance.id)
    here = instance.page("backups")
    return fragment(
        asked.request,
        "backups/panel.html",
        instance=instance,
        base=here.partition("?")[0],
        again="?" + here.partition("?")[2],
        targets=views_of(asked.session, found),
        may_administer=asked.may_administer,
        now=asked.now,
    )


def tiles(session: Session, instance_ids: Sequence[str], now: datetime) -> Mapping[str, Tile]:
    """When the oldest of an instance's newest proofs was: the weakest target decides."""
    found = figures.targets_of_instances(session, instance_ids)
    ids = [target.id for each in found.values() for target in each]
    seen = figures.figures_of(session, ids) if ids else {}
    told = {}
    for instance_id, rows in found.items():
        if not rows:
            continue
        proofs = [seen[each.id].verified_at for each in rows]
        known = [each for each in proofs if each is not None]
        oldest = min(known) if len(known) == len(proofs) else None
        wrong = sum(bool(each.troubles) for each in rows)
        told[instance_id] = Tile(
            label="Backups proven",
            value=age_in_words(now - oldest) if oldest else "never",
            tone="critical" if wrong else "ok" if oldest else "warn",
            hint=f"{wrong} of {len(rows)} not well" if wrong else "",
            page="backups",
        )
    return told


panel = Panel(page="monitoring", name="backups", title="Backups", order=60, draw=draw_panel)
