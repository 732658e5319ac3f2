"""Claim: a page of 2,000 health checks costs little more of the processor than a page of 20.

The app with every area serves three projects from its embedded stores: one without a check, one
with 20 and one with 2,000, each check with a day of results, one a minute, and a month of changes
of state. The list page, the panel and the API's list are asked of all three in turns. Told is the
processor time of the process for an answer, the column engine's threads among it, as the median of
the rounds, and the statements put to the database. The yardstick is the page of 20, and a page of
the same frame with nothing in it.

    python benchmarks/health_check_lists.py [checks, 2000]
"""

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "server"))
from mainstay_server.areas.health_checks.models import HealthCheck, HealthState
from mainstay_server.areas.health_checks.schemas.bodies import NewHealthCheck
from mainstay_server.areas.health_checks.service import checks
from mainstay_server.installed import AREAS
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.columns.store import open_engine_now
from mainstay_server.kernel.database import (
    Base,
    close_database,
    engine,
    new_id,
    open_database,
    transaction,
)
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.watching.models import RecordedSpell
from mainstay_server.tenancy.models import Instance, Project
from mainstay_server.tenancy.subjects import find_instance
from sqlalchemy.orm import Session
from tests.serving import running_app
from tests.world import Browser

MANY = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
FEW = 20
ROUNDS = 9
DAYS = 30
TROUBLES_A_DAY = 4
TROUBLE = timedelta(minutes=3)
AT_ONCE = 100
"""Checks whose results are inserted together."""
RESULTS = (
    "INSERT INTO health_results (instance_id, health_check_id, at, state, response_ms, status_code)"
    " SELECT {instance:String}, {checks:Array(String)}[1 + number % {count:UInt32}],"
    " fromUnixTimestamp64Milli({until:Int64} - intDiv(number, {count:UInt32}) * 60000, 'UTC'),"
    " if(rand(1) % 500 = 0, 'unhealthy', 'healthy'), 20 + rand(2) % 300,"
    " if(rand(1) % 500 = 0, 503, 200) FROM numbers({count:UInt32} * 1440)"
)


@dataclass
class Question:
    """One address, and what answering it took in each round."""

    name: str
    path: str
    milliseconds: list[float] = field(default_factory=list)
    statements: int = 0

    def ask(self, browser: Browser) -> None:
        """Ask it once."""
        with counting_statements() as told:
            used = cpu_seconds()
            answer = browser.get(self.path)
            self.milliseconds.append((cpu_seconds() - used) * 1000)
        assert answer.is_success, (self.path, answer.status_code, answer.text)
        self.statements = len(told)

    @property
    def median(self) -> float:
        """Milliseconds of the processor; the first round warms up."""
        return statistics.median(self.milliseconds[1:])


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@contextmanager
def counting_statements() -> Iterator[list[str]]:
    told: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        told.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield told
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def a_project_beside(session: Session, ours: InstanceRef, slug: str, now: datetime) -> InstanceRef:
    """Another project of the same organization, with one instance."""
    count = session.scalar(sa.select(sa.func.count()).select_from(Project)) or 0
    project = Project(
        id=new_id(),
        number=count + 1,
        organization_id=ours.organization_id,
        slug=slug,
        name=slug.capitalize(),
        created_at=now,
    )
    session.add(project)
    session.flush()
    instance = Instance(
        id=new_id(), project_id=project.id, environment="production", created_at=now
    )
    session.add(instance)
    session.flush()
    found = find_instance(session, instance.id)
    assert found is not None
    return found


def fill(instance: InstanceRef, count: int, now: datetime) -> None:
    """So many checks of an instance as they stand after a month, each with results of a day."""
    began = now - timedelta(days=DAYS)
    with transaction() as session:
        ids = [add_check(session, instance, number, began, now) for number in range(count)]
    for first in range(0, count, AT_ONCE):
        some = ids[first : first + AT_ONCE]
        bound = {"instance": instance.id, "checks": some, "count": len(some)}
        open_engine_now().command(RESULTS, bound | {"until": int(now.timestamp() * 1000)})


def add_check(
    session: Session, instance: InstanceRef, number: int, began: datetime, now: datetime
) -> str:
    wanted = NewHealthCheck(
        url=f"https://app-{number}.example/health",
        name=f"App {number:04}",
        interval_seconds=60,
        tags=["shop", f"team-{number % 12}"],
    )
    check = checks.add_check(session, instance, wanted, now=began)
    session.flush()
    session.execute(sa.delete(RecordedSpell).where(RecordedSpell.subject_id == check.id))
    session.execute(sa.insert(RecordedSpell), spells_of(check, number, began, now))
    check.state = HealthState.UNHEALTHY if number % 50 == 0 else HealthState.HEALTHY
    check.state_reason = "answered 503" if number % 50 == 0 else ""
    check.state_since = now - TROUBLE
    check.last_result_at, check.last_response_ms = now, 84.2
    check.watched_until, check.silent_at = now + timedelta(days=1), now + timedelta(days=1)
    check.next_at = now + timedelta(days=1)
    return check.id


def spells_of(
    check: HealthCheck, number: int, began: datetime, now: datetime
) -> list[dict[str, object]]:
    """Healthy, and a few times a day for some minutes not; the last one lasts."""
    pause = timedelta(days=1) / TROUBLES_A_DAY
    first = began + timedelta(minutes=number % 300)
    edges = [began]
    for each in range(DAYS * TROUBLES_A_DAY):
        start = first + each * pause
        if start + TROUBLE < now - TROUBLE:
            edges += [start, start + TROUBLE]
    edges = sorted({*edges, now - TROUBLE})
    states = [
        HealthState.UNHEALTHY if each % 2 else HealthState.HEALTHY for each in range(len(edges))
    ]
    return [
        {
            "id": new_id(),
            "subject_id": check.id,
            "instance_id": check.instance_id,
            "state": state,
            "started_at": start,
            "ended_at": end,
            "reason": "answered 503" if state == HealthState.UNHEALTHY else "",
        }
        for state, start, end in zip(states, edges, [*edges[1:], None], strict=True)
    ]


def main() -> None:
    """Fill, measure, and tell."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        open_database(f"sqlite:///{folder / 'mainstay.db'}")
        Base.metadata.create_all(engine())
        try:
            with running_app(AREAS, folder) as world:
                now = utc_now()
                with transaction() as session:
                    few = a_project_beside(session, world.instance, "few", now)
                    many = a_project_beside(session, world.instance, "many", now)
                began = time.perf_counter()
                fill(few, FEW, now)
                fill(many, MANY, now)
                print(f"filled in {time.perf_counter() - began:.0f} s")
                measure(world.bob, world.instance, few, many)
        finally:
            close_database()


def measure(browser: Browser, bare: InstanceRef, few: InstanceRef, many: InstanceRef) -> None:
    page: Callable[[InstanceRef], str] = "/dashboard/projects/{0.project_slug}/health-checks".format
    panel: Callable[[InstanceRef], str] = "/dashboard/projects/{0.project_slug}/monitoring".format
    api: Callable[[InstanceRef], str] = "/api/instances/{0.id}/health-checks?limit=50".format
    asked = {
        "list page": (page, ""),
        "list page, searched": (page, "?q=app+7&sort=response"),
        "list page, the last": (page, "?sort=name&page=9999"),
        "panel of the project": (panel, ""),
        "API, the first 50": (api, ""),
    }
    questions = {
        name: [Question(name, path(of) + query) for of in (bare, few, many)]
        for name, (path, query) in asked.items()
    }
    for _ in range(ROUNDS + 1):
        for several in questions.values():
            for question in several:
                question.ask(browser)
    titles = ("none", "", f"{FEW} checks", "", f"{MANY} checks", "")
    print(f"{'processor ms, statements':26}" + "".join(f"{title:>10}" for title in titles), end="")
    print(f"{f'{MANY}/{FEW}':>10}{f'{MANY}/none':>11}")
    for name, (none, some, all_of) in questions.items():
        told = "".join(f"{one.median:>10.1f}{one.statements:>10}" for one in (none, some, all_of))
        ratios = all_of.median / some.median, all_of.median / none.median
        print(f"{name:26}{told}{ratios[0]:>10.2f}{ratios[1]:>11.2f}")


if __name__ == "__main__":
    main()
