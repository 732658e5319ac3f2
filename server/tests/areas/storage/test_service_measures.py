"""What rules are told of buckets: the share of the nearer limit that is used."""

from mainstay_server.areas.storage.models import Use
from mainstay_server.areas.storage.service import uses
from mainstay_server.areas.storage.service.measures import STORAGE
from sqlalchemy.orm import Session
from tests.areas.storage.test_service_uses import NOON, make_bucket


def test_a_bucket_is_as_full_as_the_nearer_of_its_limits(session: Session) -> None:
    bucket = make_bucket(session, quota_bytes=1000, quota_objects=10)
    session.add(Use(bucket_id=bucket.id, owner="", **uses.NOTHING_YET | {"used_bytes": 905}))
    session.flush()

    (whole,) = STORAGE.read(session, since=NOON, until=NOON, by_part=False)
    (part,) = STORAGE.read(session, since=NOON, until=NOON, by_part=True)

    assert (whole.instance_id, whole.values) == (bucket.instance_id, {"storage.used": 90.5})
    assert (part.part, part.values) == (bucket.name, {"storage.used": 90.5})


def test_a_bucket_without_a_limit_is_never_full(session: Session) -> None:
    make_bucket(session)
    assert STORAGE.read(session, since=NOON, until=NOON, by_part=False) == []
