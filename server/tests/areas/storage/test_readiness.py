from mainstay_server.areas.storage.models import Bucket
from mainstay_server.areas.storage.readiness import storage_works
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.readiness import Finding, NotApplicable, Outcome, Passed
from tests.areas.storage.putting import a_bucket, stored
from tests.world import World


def outcome(world: World) -> Outcome:
    with reading() as session:
        return storage_works.ask(session, world.instance, utc_now())


def test_nothing_is_asked_of_an_instance_without_buckets(world: World) -> None:
    assert isinstance(outcome(world), NotApplicable)


def test_a_bucket_with_room_passes_and_a_full_one_is_named(world: World) -> None:
    a_bucket(world, quotaBytes=10)
    assert isinstance(outcome(world), Passed)
    stored(world, "a", b"x" * 9)
    found = outcome(world)
    assert isinstance(found, Finding)
    assert found.problem == "The bucket files is 90 % full."


def test_a_store_that_did_not_answer_is_named(world: World) -> None:
    bucket = a_bucket(world)
    with transaction() as session:
        session.get_one(Bucket, bucket["id"]).problem = "The store refused (403, AccessDenied)."
    found = outcome(world)
    assert isinstance(found, Finding)
    assert "AccessDenied" in found.problem
