"""Foreign keys: they stay in their area or lead to tenancy (docs/decisions/0005)."""

import sqlalchemy as sa
from mainstay_server.app.assembly import TENANCY
from mainstay_server.installed import AREAS
from mainstay_server.kernel.database import Base
from sqlalchemy.orm import DeclarativeBase

EVERYTHING = (TENANCY, *AREAS)  # importing every part makes its tables known


def test_a_foreign_key_stays_at_home_or_leads_to_tenancy() -> None:
    assert EVERYTHING
    assert strays(Base) == []


def test_a_key_into_another_area_is_noticed() -> None:
    class Elsewhere(DeclarativeBase):
        pass

    classes = []  # SQLAlchemy itself forgets a class that nobody holds

    def table(module: str, name: str, points_at: str = "") -> None:
        columns = {"id": sa.Column(sa.Integer, primary_key=True)}
        if points_at:
            columns["other"] = sa.Column(sa.ForeignKey(f"{points_at}.id"))
        body = {"__tablename__": name, "__module__": module, **columns}
        classes.append(type(name, (Elsewhere,), body))

    table("mainstay_server.tenancy.models", "projects")
    table("mainstay_server.areas.alerts.models", "alerts", "projects")
    table("mainstay_server.areas.incidents.models", "incidents", "alerts")

    assert strays(Elsewhere) == ["incidents.other leads to alerts, which is areas.alerts"]


def strays(base: type[DeclarativeBase]) -> list[str]:
    homes = {
        mapper.local_table.name: home_of(mapper.class_.__module__)
        for mapper in base.registry.mappers
        if isinstance(mapper.local_table, sa.Table)
    }
    return [
        f"{table}.{key.parent.name} leads to {key.column.table.name},"
        f" which is {homes[key.column.table.name]}"
        for table, home in sorted(homes.items())
        for key in sorted(base.metadata.tables[table].foreign_keys, key=lambda k: k.parent.name)
        if homes[key.column.table.name] not in {home, "tenancy"}
    ]


def home_of(module: str) -> str:
    """`areas.alerts`, `tenancy` or `kernel`."""
    parts = module.removeprefix("mainstay_server.").split(".")
    return ".".join(parts[:2]) if parts[0] == "areas" else parts[0]
