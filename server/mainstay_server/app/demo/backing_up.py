"""What is backed up of the sample app: its database, restored after each backup to prove it."""

from pathlib import Path

from .api import Api
from .kept import keep

NAME = "inspections"
EVERY_HOURS = 1


def back_up(api: Api, *, instance_id: str, database: Path, kept: Path) -> None:
    """Have the database backed up as a person would with curl, once.

    The recovery key is shown once by the server, so that it is kept in a file of its own.
    """
    path = f"/api/instances/{instance_id}/backup-targets"
    if any(each["name"] == NAME for each in api.call("GET", path)["backupTargets"]):
        return
    wanted = {
        "name": NAME,
        "engine": "sqlite",
        "config": {"path": str(database)},
        "schedule": {"intervalHours": EVERY_HOURS},
        "newKey": "kept",
    }
    made = api.call("POST", path, wanted)
    keep(kept, {"recoveryKey": made["secretKey"]})
