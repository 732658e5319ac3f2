"""Write the migration that brings one area's tables to its models: `AREA "what changes"`.

The tables of other areas are left out, so that every migration's name starts with its area. The
part `kernel` owns the outbox and the jobs, `tenancy` the people and projects.
"""

import sys
import tempfile
from pathlib import Path

from alembic import command
from mainstay_server.installed import AREAS
from mainstay_server.kernel.database import Base, close_database, engine, open_database
from mainstay_server.kernel.limits import LimitBucket
from mainstay_server.kernel.migrations import configuration, migrate, migrations_folder


def owner_of(module: str) -> str:
    """The area, or `tenancy` or `kernel`, that a model's module belongs to."""
    parts = module.split(".")
    return parts[2] if parts[1] == "areas" else parts[1]


def main(area: str, message: str) -> None:
    """Compare the models with what the present migrations make, and write the difference."""
    assert AREAS is not None, "importing the areas is what makes their tables known"
    assert LimitBucket is not None, "and the kernel's, which no area need import"
    tables = {
        mapper.class_.__tablename__
        for mapper in Base.registry.mappers
        if owner_of(mapper.class_.__module__) == area
    }
    if not tables:
        sys.exit(f"no models belong to {area!r}")
    count = len(list((migrations_folder() / "versions").glob(f"{area}_*.py")))
    with tempfile.TemporaryDirectory() as folder:
        open_database(f"sqlite:///{Path(folder) / 'empty.db'}")
        migrate()
        with engine().execution_options(immediate=True).begin() as connection:
            config = configuration(connection)
            config.attributes["tables"] = tables
            config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
            command.revision(
                config, message=message, autogenerate=True, rev_id=f"{area}_{count + 1:04d}"
            )
        close_database()


if __name__ == "__main__":
    main(*sys.argv[1:])
