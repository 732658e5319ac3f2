"""How limits are told over HTTP: the fields of the RateLimit draft, older ones, and the refusals.

`RateLimit` and `RateLimit-Policy` are lists of RFC 9651, as draft-ietf-httpapi-ratelimit-headers-11
says. It is a draft: whatever changes in it changes here.
"""

from collections.abc import Mapping, Sequence

import msgspec

from mainstay_server.kernel.problems import Problem, TooManyRequests, Unavailable

from .gcra import SECOND_US, Rate, Verdict

PROBLEM_TYPES = "https://iana.org/assignments/http-problem-types"
QUOTA_EXCEEDED = f"{PROBLEM_TYPES}#quota-exceeded"
REDUCED_CAPACITY = f"{PROBLEM_TYPES}#temporary-reduced-capacity"


class Named(msgspec.Struct, frozen=True):
    """A rate and what clients call it; made once for each limit, since every answer tells it.

    Raises `ValueError` for a name that is no String of RFC 9651, section 3.3.3: printable ASCII.
    """

    name: str
    rate: Rate
    quoted: str = ""
    item: str = ""

    def __post_init__(self) -> None:
        """Write down what is the same in every answer."""
        if not (self.name.isascii() and self.name.isprintable()):
            raise ValueError("the name of a policy is printable ASCII")
        quoted = '"' + self.name.replace("\\", "\\\\").replace('"', '\\"') + '"'
        item = f"{quoted};q={self.rate.quota};w={self.rate.window_seconds}"
        msgspec.structs.force_setattr(self, "quoted", quoted)
        msgspec.structs.force_setattr(self, "item", item)


class QuotaExceeded(TooManyRequests):
    """A refusal of the draft's type (its section 5.1), with the names of the violated policies."""

    title = "Request cannot be satisfied as assigned quota has been exceeded"
    code = "quota-exceeded"

    def __init__(
        self,
        detail: str,
        *,
        policies: Sequence[str],
        code: str | None = None,
        retry_after_seconds: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            detail,
            code=code,
            type=QUOTA_EXCEEDED,
            members={"violated-policies": list(policies)},
            retry_after_seconds=retry_after_seconds,
            headers=headers,
        )


def limit_headers(policies: Sequence[Named], verdict: Verdict) -> dict[str, str]:
    """The fields of an answer; `policies` are what the verdict's buckets are called.

    Admitted, `t` is when a policy has all of its burst again. Refused, `RateLimit` tells only those
    that refuse, and `t` when they will not: `Retry-After` is never before it. The older fields know
    one policy, the one that is nearest to its end; their reset is in seconds from now. A verdict of
    none, or that no store made, has no fields.
    """
    if not policies or verdict.denied:
        return {}
    admitted = verdict.admitted
    items: list[str] = []
    nearest, nearest_seconds, nearest_key = policies[0], "", (2, 0)
    remaining = 0
    for policy, standing in zip(policies, verdict.standings, strict=True):
        waiting_us = standing.full_in_us if admitted else standing.retry_after_us
        if waiting_us == 0 and not admitted:
            continue
        seconds = "" if waiting_us is None else str(_seconds(waiting_us))
        item = f"{policy.quoted};r={standing.remaining}"
        items.append(f"{item};t={seconds}" if seconds else item)
        key = (1, standing.remaining) if admitted else _nearness(waiting_us)
        if key < nearest_key:
            nearest, nearest_seconds, nearest_key = policy, seconds, key
            remaining = standing.remaining
    found = {
        "RateLimit-Policy": ", ".join([policy.item for policy in policies]),
        "RateLimit": ", ".join(items),
        "X-RateLimit-Limit": str(nearest.rate.quota),
        "X-RateLimit-Remaining": str(remaining),
    }
    if nearest_seconds:
        found["X-RateLimit-Reset"] = nearest_seconds
    return found


def refusal(
    policies: Sequence[Named], verdict: Verdict, headers: Mapping[str, str] | None = None
) -> Problem:
    """The problem that a verdict which does not admit is told as."""
    waiting_us = verdict.retry_after_us
    if verdict.denied:
        return Unavailable(
            "Limits cannot be counted right now, and this one then lets nobody pass; try again.",
            code="limiter-unavailable",
            type=REDUCED_CAPACITY,
            members={"violated-policies": list(dict.fromkeys(policy.name for policy in policies))},
            retry_after_seconds=(waiting_us or SECOND_US) / SECOND_US,
            headers=headers,
        )
    names = list(dict.fromkeys(policies[place].name for place in verdict.violated))
    spoken = " and ".join(names)
    if waiting_us is None:
        return QuotaExceeded(
            f"This costs more than {spoken} ever lets pass at once; ask for less.",
            policies=names,
            code="rate-limited",
            headers=headers,
        )
    return QuotaExceeded(
        f"The limit {spoken} is used up; try again in {_seconds(waiting_us)} s.",
        policies=names,
        code="rate-limited",
        retry_after_seconds=waiting_us / SECOND_US,
        headers=headers,
    )


def _nearness(waiting_us: int | None) -> tuple[int, int]:
    """Sorts first what never admits, then the longest wait."""
    return (-1, 0) if waiting_us is None else (0, -waiting_us)


def _seconds(span_us: int) -> int:
    """Whole seconds that are not too early."""
    return -(-span_us // SECOND_US)
