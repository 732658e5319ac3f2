"""What a project that goes gives back."""

from collections.abc import Callable

from mainstay_server.areas.quotas import area as quotas
from mainstay_server.areas.quotas.settings import PlanLimit, QuotaSettings
from mainstay_server.areas.storage import area
from mainstay_server.areas.storage.models import Bucket
from mainstay_server.contracts.quotas import quota_left
from mainstay_server.contracts.tenancy import InstanceRemoved
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import said_events
from mainstay_server.kernel.settings import override_settings
from tests.areas.storage.putting import STORAGE, a_bucket, offered, stored
from tests.world import World


def counted(world: World) -> int:
    with reading() as session:
        organization_id = world.instance.organization_id
        return quota_left(session, organization_id, meter="storage_bytes", now=utc_now()).used


def react() -> None:
    """Let the area hear that instances went, as the outbox does."""
    with transaction() as session:
        for _, event in said_events(session):
            for reaction in area.reactions:
                if type(event) is reaction.event:
                    reaction.function(session, event, now=utc_now())


def test_a_deleted_project_gives_its_bytes_back_to_the_plan_and_others_keep_theirs(
    client_for: Callable[..., World],
) -> None:
    world = client_for(area, quotas)
    override_settings(
        QuotaSettings(plans={"S": {"storage_bytes": PlanLimit(limit=100)}}, default_plan="S")
    )
    here = a_bucket(world)
    stored(world, "a", b"x" * 60, bucket=here["id"])
    made = world.alice.post("/api/projects", json={"name": "Staying"}).json()
    instance_id = made["instances"][0]["id"]
    other = world.alice.post(f"/api/instances/{instance_id}/buckets", json={"name": "kept"}).json()
    stored(world, "b", b"x" * 5, bucket=other["id"])
    offered(world.bob, "c", size=7, bucket=other["id"])
    assert counted(world) == 72

    slug = world.instance.project_slug
    gone = world.alice.delete(f"/api/projects/{slug}?confirm={slug}")
    assert gone.status_code == 204, gone.text
    with reading() as session:
        assert session.get(Bucket, here["id"]) is None
        assert any(isinstance(event, InstanceRemoved) for _, event in said_events(session))
    react()
    assert counted(world) == 12
    react()
    assert counted(world) == 12
    wish = {"key": "d", "size": 88, "bucket": other["id"]}
    assert world.bob.post(f"{STORAGE}/upload-url", json=wish).status_code == 201
