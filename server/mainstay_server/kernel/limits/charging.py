"""Charging a door of our own: so many calls of one subject in so much time."""

from datetime import datetime, timedelta

from mainstay_server.kernel.limits import (
    Bucket,
    Rate,
    bucket_key,
    microseconds,
    take,
    take_async,
)
from mainstay_server.kernel.limits.headers import Named, refusal

HOUR = int(timedelta(hours=1).total_seconds())


async def charge_hourly(policy: str, subject: str, *, quota: int, now: datetime) -> None:
    """Charge one call to the subject. Raises the refusal, by the policy's name, at too many."""
    rate = Rate(quota, HOUR, quota)
    bucket = Bucket(bucket_key(f"mainstay|{policy}", rate, subject), rate)
    verdict = await take_async((bucket,), now_us=microseconds(now))
    if not verdict.admitted:
        raise refusal([Named(policy, rate)], verdict)


def charge(policy: str, subject: str, rate: Rate, *, now: datetime) -> None:
    """Charge one call to the subject, by its own rate. Raises the refusal at too many."""
    bucket = Bucket(bucket_key(f"mainstay|{policy}", rate, subject), rate)
    verdict = take((bucket,), now_us=microseconds(now))
    if not verdict.admitted:
        raise refusal([Named(policy, rate)], verdict)
