"""A guarded world: the area `guard` with one step of a test's own, since its steps are others'."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mainstay_server.kernel.area import Area
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.guard import Facts, GuardStep, Passage, touch_policies
from mainstay_server.kernel.problems import Forbidden, Unauthenticated
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.world import World

PASSWORD = "open sesame"


class Doorman:
    """Lets in who says the password of the day, from anywhere but the blocked addresses."""

    def __init__(self) -> None:
        self.password = PASSWORD
        self.blocked: list[str] = ["192.0.2.66"]
        self.asked = 0

    def publish(self, _session: Session, _instance: InstanceRef, _now: datetime) -> dict[str, Any]:
        return {"password": self.password, "blocked": self.blocked, "pepper": "secret"}

    async def decide(self, section: Mapping[str, Any], passage: Passage) -> None:
        self.asked += 1
        request = passage.request
        passage.headers["RateLimit"] = '"default";r=9;t=60'
        if request.address in section["blocked"]:
            raise Forbidden("This address may not.", code="address-not-allowed")
        if request.path.startswith("/public") and not request.credential:
            return
        if request.credential != section["password"]:
            code = "key-unknown" if request.credential else "key-missing"
            raise Unauthenticated("Say the password.", code=code)
        passage.facts = Facts(key_id="key-1", owner="acme", plan="PRO", scopes=("door:open",))

    @property
    def area(self) -> Area:
        step = GuardStep(
            section="keys",
            order=40,
            publish=self.publish,
            compile=lambda section: section,
            decide=self.decide,
        )
        return Area(name="doorman", title="Doorman", guard=(step,))

    def change(self, world: World, password: str) -> None:
        """As an area does: the change and the word of it are one transaction."""
        self.password = password
        with transaction() as session:
            touch_policies(session, [world.instance.id])
