"""The scorecard over HTTP, for `mainstay doctor` and for gates in CI."""

from typing import Annotated

from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role

from . import service
from .schemas import Scorecard

router = Router()


@router.get("/api/instances/{instance_id}/scorecard", summary="Is this instance ready to go live")
def get_scorecard(
    session: Session, instance: Annotated[InstanceRef, access.instance(Role.VIEWER)]
) -> Scorecard:
    """Ask every readiness check now; what to mend comes first, each with its one fix."""
    return service.score(session, instance, now=utc_now())
