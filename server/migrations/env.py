"""Alembic's entry: migrates the connection it is given; the models are all that is installed."""

from typing import Literal

from alembic import context
from mainstay_server.installed import AREAS
from mainstay_server.kernel.database import Base, UtcDateTime
from mainstay_server.kernel.limits import LimitBucket

assert AREAS is not None, "importing the areas is what makes their tables known"
assert LimitBucket is not None, "and the kernel's, which no area need import"


def spell_out(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Write our own column types as what the database sees, so that history needs no code."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


tables = context.config.attributes.get("tables")

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
    render_item=spell_out,
    include_name=lambda name, kind, _parents: kind != "table" or tables is None or name in tables,
    include_object=lambda _object, name, kind, _reflected, _other: (
        kind != "table" or tables is None or name in tables
    ),
)
with context.begin_transaction():
    context.run_migrations()
