"""The one list of areas: adding an area is adding its line here. Tiles stand in this order."""

from mainstay_server.areas import (
    abuse,
    alerts,
    api_keys,
    audit,
    backups,
    errors,
    guard,
    health_checks,
    ip_allowlist,
    maintenance,
    quotas,
    rate_limits,
    requests,
    results,
    scorecard,
    storage,
    sync,
    vulnerabilities,
)
from mainstay_server.kernel.area import Area

AREAS: tuple[Area, ...] = (
    health_checks.area,
    alerts.area,
    maintenance.area,
    errors.area,
    requests.area,
    guard.area,
    api_keys.area,
    ip_allowlist.area,
    quotas.area,
    abuse.area,
    rate_limits.area,
    vulnerabilities.area,
    audit.area,
    backups.area,
    storage.area,
    sync.area,
    results.area,
    scorecard.area,
)
