"""What rules are told of plans: the share used of each meter, and the fullest one's."""

import pytest
from mainstay_server.areas.quotas.service import counting
from mainstay_server.areas.quotas.service.measures import QUOTAS
from sqlalchemy.orm import Session
from tests.areas.quotas.test_service_counting import NOON, calls
from tests.world import a_project


@pytest.mark.usefixtures("free_by_default")
def test_the_share_of_a_plan_is_that_of_every_instance_of_the_organization(
    session: Session,
) -> None:
    instance = a_project(session, now=NOON)
    counting.record_use(session, instance=instance, batch_id="batch-1", uses=calls(42), now=NOON)

    (whole,) = QUOTAS.read(session, since=NOON, until=NOON, by_part=False)
    (part,) = QUOTAS.read(session, since=NOON, until=NOON, by_part=True)

    assert (whole.instance_id, whole.values) == (instance.id, {"quotas.used": 42})
    assert (part.part, part.values) == ("calls", {"quotas.used": 42})
    later = NOON.replace(year=2027)
    assert QUOTAS.read(session, since=later, until=later, by_part=False) == []
