"""What guards the sample app: a guard key, keys of its customers, limits, bans."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .api import Api
from .kept import keep


@dataclass(frozen=True)
class Customer:
    """Somebody whose programs call the sample app with an API key."""

    owner: str
    name: str
    plan: str


# The small one uses up what its plan has within minutes.
CUSTOMERS = (
    Customer("harbour", "terminals of the harbour depot", "PRO"),
    Customer("fleet", "fleet management", "ENTERPRISE"),
    Customer("yard", "tablet at the north yard", "FREE"),
)
REPORTS = {
    "name": "reports",
    "paths": ["/reports/*"],
    "by": "caller",
    "quota": 20,
    "windowSeconds": 3600,
}


class Guarding:
    """Guards instances as a person would with curl, each once.

    Secrets are shown once by the server, so that they are kept in `guard.json` of the folder for
    the next start.
    """

    def __init__(self, api: Api, *, project: str, folder: Path) -> None:
        self._api = api
        self._project = project
        self._path = folder / "guard.json"
        self._kept: dict[str, Any] = {}
        if self._path.is_file():
            self._kept = json.loads(self._path.read_text(encoding="utf-8"))

    def with_guard_key(self, dsn: str) -> str:
        """The DSN for servers, which may read the policy of the guard."""
        if "guardKey" not in self._kept:
            path = f"/api/projects/{self._project}/guard-keys"
            self._kept["guardKey"] = self._api.call("POST", path, {"name": "web servers"})["key"]
            keep(self._path, self._kept)
        scheme, _, rest = dsn.partition("://")
        ingest_key, _, place = rest.partition("@")
        return f"{scheme}://{ingest_key}:{self._kept['guardKey']}@{place}"

    def guard(self, environment: str, instance_id: str) -> list[str]:
        """Give an instance its settings, limit and customers; returns the customers' API keys."""
        if environment not in self._kept:
            base = f"/api/instances/{instance_id}"
            self._api.call("PATCH", f"{base}/guard/settings", {"client": {"trustedHops": 1}})
            self._api.call("PATCH", f"{base}/abuse/settings", {"mode": "enforce"})
            limits = self._api.call("GET", f"{base}/rate-limits")["rateLimits"]
            if not any(limit["name"] == REPORTS["name"] for limit in limits):
                self._api.call("POST", f"{base}/rate-limits", REPORTS)
            self._kept[environment] = [
                self._api.call(
                    "POST",
                    f"{base}/api-keys",
                    {"name": each.name, "owner": each.owner, "plan": each.plan},
                )["key"]
                for each in CUSTOMERS
            ]
            keep(self._path, self._kept)
        return list(self._kept[environment])
