"""How limits are told over HTTP: the fields of the RateLimit draft, older ones, and the refusals.

`RateLimit` and `RateLimit-Policy` are lists of RFC 9651, as draft-ietf-httpapi-ratelimit-headers-11
says. It is a draft: whatever changes in it changes here.
"""

from collections.abc import Mapping, Sequence

from mainstay_server.kernel.problems import Problem, TooManyRequests, Unavailable

from .gcra import SECOND_US, Rate, Standing, Verdict

PROBLEM_TYPES = "https://iana.org/assignments/http-problem-types"
QUOTA_EXCEEDED = f"{PROBLEM_TYPES}#quota-exceeded"
REDUCED_CAPACITY = f"{PROBLEM_TYPES}#temporary-reduced-capacity"

Named = Sequence[tuple[str, Rate]]


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


def policy_item(name: str, rate: Rate) -> str:
    """One policy as a member of `RateLimit-Policy`. Raises `ValueError` for a name that is none."""
    return f"{quoted(name)};q={rate.quota};w={rate.window_seconds}"


def quoted(name: str) -> str:
    """A String of RFC 9651, section 3.3.3: printable ASCII."""
    if not (name.isascii() and name.isprintable()):
        raise ValueError("the name of a policy is printable ASCII")
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def limit_headers(policies: Named, verdict: Verdict) -> dict[str, str]:
    """The fields of an answer; `policies` are the names and rates of the verdict's buckets.

    Admitted, `t` is when a policy has all of its burst again. Refused, `RateLimit` tells only those
    that refuse, and `t` when they will not: `Retry-After` is never before it. The older fields know
    one policy, the one that is nearest to its end; their reset is in seconds from now. A verdict of
    none, or that no store made, has no fields.
    """
    if not policies or verdict.denied:
        return {}
    shown = verdict.violated if not verdict.admitted else range(len(policies))
    items = []
    for place in shown:
        name, _ = policies[place]
        standing = verdict.standings[place]
        item = f"{quoted(name)};r={standing.remaining}"
        waiting_us = _waiting_us(standing, admitted=verdict.admitted)
        items.append(item if waiting_us is None else f"{item};t={_seconds(waiting_us)}")
    nearest = min(shown, key=lambda place: _nearness(verdict.standings[place]))
    return {
        "RateLimit-Policy": ", ".join(policy_item(name, rate) for name, rate in policies),
        "RateLimit": ", ".join(items),
        **_older(policies[nearest][1], verdict, nearest),
    }


def refusal(policies: Named, verdict: Verdict, headers: Mapping[str, str] | None = None) -> Problem:
    """The problem that a verdict which does not admit is told as."""
    waiting_us = verdict.retry_after_us
    if verdict.denied:
        return Unavailable(
            "Limits cannot be counted right now, and this one then lets nobody pass; try again.",
            code="limiter-unavailable",
            type=REDUCED_CAPACITY,
            members={"violated-policies": list(dict.fromkeys(name for name, _ in policies))},
            retry_after_seconds=(waiting_us or SECOND_US) / SECOND_US,
            headers=headers,
        )
    names = list(dict.fromkeys(policies[place][0] for place in verdict.violated))
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


def _older(rate: Rate, verdict: Verdict, place: int) -> dict[str, str]:
    standing = verdict.standings[place]
    found = {
        "X-RateLimit-Limit": str(rate.quota),
        "X-RateLimit-Remaining": str(standing.remaining),
    }
    waiting_us = _waiting_us(standing, admitted=verdict.admitted)
    if waiting_us is not None:
        found["X-RateLimit-Reset"] = str(_seconds(waiting_us))
    return found


def _waiting_us(standing: Standing, *, admitted: bool) -> int | None:
    return standing.full_in_us if admitted else standing.retry_after_us


def _nearness(standing: Standing) -> tuple[int, int]:
    """Sorts first what never admits, then the longest wait, then what has least left."""
    if standing.retry_after_us is None:
        return (-1, 0)
    if standing.retry_after_us:
        return (0, -standing.retry_after_us)
    return (1, standing.remaining)


def _seconds(span_us: int) -> int:
    """Whole seconds that are not too early."""
    return -(-span_us // SECOND_US)
