"""Jobs report to a real server: an unmodified sentry-sdk, curl, the wrapper; silence is alarmed."""

import subprocess
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.crons import MonitorStatus, capture_checkin, monitor
from tests.journeys.running import PROGRAM, Mainstay
from tests.waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.slow


def beats(mainstay: Mainstay) -> dict[str, dict[str, Any]]:
    listed = mainstay.get(f"/api/instances/{mainstay.instance_id}/heartbeats")["heartbeats"]
    return {one["slug"]: one for one in listed}


def made(mainstay: Mainstay, **values: Any) -> dict[str, Any]:
    answer = mainstay.call("POST", f"/api/instances/{mainstay.instance_id}/heartbeats", json=values)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def signals(mainstay: Mainstay, beat: dict[str, Any]) -> list[str]:
    path = f"/api/instances/{mainstay.instance_id}/heartbeats/{beat['id']}/pings"
    return [ping["signal"] for ping in reversed(mainstay.get(path)["pings"])]


def test_a_job_of_a_sentry_sdk_makes_its_heartbeat(mainstay: Mainstay) -> None:
    client = sentry_sdk.Client(dsn=mainstay.project["dsn"], environment="production")
    config = {
        "schedule": {"type": "crontab", "value": "0 3 * * *"},
        "timezone": "Europe/Berlin",
        "checkin_margin": 10,
        "max_runtime": 60,
    }
    with sentry_sdk.new_scope() as scope:
        scope.set_client(client)

        @monitor(monitor_slug="sdk-job", monitor_config=config)  # type: ignore[arg-type]
        def work() -> None:
            raise ValueError("no space left")

        with pytest.raises(ValueError, match="no space"):
            work()
        capture_checkin(monitor_slug="sdk-job", status=MonitorStatus.OK)
    client.close(timeout=PATIENCE_SECONDS)

    eventually(lambda: beats(mainstay).get("sdk-job", {}).get("pingsCount") == 3)
    beat = beats(mainstay)["sdk-job"]
    assert signals(mainstay, beat) == ["start", "fail", "success"]
    assert (beat["expression"], beat["timeZone"]) == ("0 3 * * *", "Europe/Berlin")
    assert (beat["graceSeconds"], beat["maxDurationSeconds"]) == (600, 3600)


def test_curl_and_the_wrapper_report_and_keep_the_exit_code(mainstay: Mainstay) -> None:
    beat = made(mainstay, name="Wrapped", maxDurationSeconds=600)
    url = beat["pingUrl"]

    said = subprocess.run(
        ["curl", "-fsS", "-m", str(PATIENCE_SECONDS), url],
        capture_output=True,
        text=True,
        check=True,
    )
    wrapped = subprocess.run(
        [PROGRAM, "run", "--url", url, "--", "sh", "-c", "echo copying; exit 3"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert said.stdout == "OK"
    assert (wrapped.returncode, wrapped.stdout) == (3, "copying\n")
    assert signals(mainstay, beat) == ["success", "start", "fail"]
    here = f"/api/instances/{mainstay.instance_id}/heartbeats/{beat['id']}"
    assert mainstay.call("GET", f"{here}/pings/3/body").text == "copying\n"


def test_silence_opens_an_alert_that_the_next_report_ends(mainstay: Mainstay) -> None:
    beat = made(mainstay, name="Silent", periodSeconds=10, graceSeconds=1)
    path = f"/api/instances/{mainstay.instance_id}/alerts?status="

    def alerts(status: str) -> list[str]:
        found = mainstay.get(path + status)["alerts"]
        return [one["message"] for one in found if one["type"] == "heartbeat_missed"
                and "Silent" in one["title"]]  # fmt: skip

    mainstay.ask("GET", "/ping/" + beat["pingUrl"].rpartition("/")[2])

    eventually(lambda: len(alerts("active")) == 1)
    assert alerts("active")[0].startswith("no report: it was due at")
    mainstay.ask("GET", "/ping/" + beat["pingUrl"].rpartition("/")[2])
    eventually(lambda: len(alerts("resolved")) >= 1)
