"""From what others say to what people read, over real HTTP."""

import json

from tests.areas.alerts.conftest import Harbour
from tests.servers.http import HttpReceiver


def test_an_instance_that_goes_down_is_told_of_once(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(f"{http_receiver.url}/hook")

    harbour.goes_down()

    (request,) = http_receiver.requests
    told = json.loads(request.body)
    assert told["type"] == "alert.opened"
    assert told["alert"]["title"] == "inspections production is down"
    assert told["alert"]["severity"] == "critical"
    assert told["instance"]["environment"] == "production"
