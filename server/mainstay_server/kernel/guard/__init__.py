"""The guard: how areas take part in deciding whether a request to a guarded API may pass."""

from .models import GuardVersion
from .patterns import Patterns
from .steps import Facts, GuardedRequest, GuardStep, Passage
from .versions import CHANNEL, changes_here, policy_version, touch_policies

__all__ = [
    "CHANNEL",
    "Facts",
    "GuardStep",
    "GuardVersion",
    "GuardedRequest",
    "Passage",
    "Patterns",
    "changes_here",
    "policy_version",
    "touch_policies",
]
