"""On call as people live it: woken by a real mail, the process killed meanwhile, one click."""

import json
import random
import re
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.running import EMAIL, Mainstay, running_mainstay
from tests.servers.http import running_http
from tests.servers.smtp import SmtpServer, running_smtp
from tests.waiting import eventually

pytestmark = pytest.mark.slow

ALERTS, STEPS = 3, 3
PATIENCE_SECONDS = 180


def rows(data: Path, sql: str) -> list[Any]:
    with sqlite3.connect(f"file:{data / 'mainstay.db'}?mode=ro", uri=True, timeout=10) as database:
        return database.execute(sql).fetchall()


def policy(mainstay: Mainstay) -> None:
    """The owner is told in three steps, one right after the other."""
    (owner,) = mainstay.get("/api/members")["members"]
    step = {"kind": "person", "personId": owner["personId"], "waitMinutes": 0}
    body = {"name": "Wake the owner", "minimumSeverity": "warning", "steps": [step] * STEPS}
    made = mainstay.call("POST", "/api/escalation-policies", json=body)
    assert made.status_code == 201, made.text


def open_alert(mainstay: Mainstay, title: str) -> None:
    body = {"type": "backup_failed", "severity": "critical", "title": title}
    made = mainstay.call("POST", f"/api/instances/{mainstay.instance_id}/alerts", json=body)
    assert made.is_success, made.text


def texts(smtp: SmtpServer) -> str:
    return "\n".join(mail.subject + "\n" + mail.text for mail in smtp.messages)


def test_kills_lose_no_step_double_none_and_the_link_acknowledges_once(tmp_path: Path) -> None:
    chance = random.Random(20261126)
    data = tmp_path / "data"
    with running_smtp() as smtp:
        settings = {
            "MAINSTAY_SMTP_HOST": smtp.host,
            "MAINSTAY_SMTP_PORT": str(smtp.port),
            "MAINSTAY_SMTP_FROM": "mainstay@ships.example",
            "MAINSTAY_LEASE_SECONDS": "3",
        }
        with running_mainstay(settings, data_dir=data) as mainstay:
            policy(mainstay)
            smtp.refuse("451 4.3.0 not now", "451 4.3.0 not now")
            for number in range(ALERTS):
                open_alert(mainstay, f"backup {number} failed")
                time.sleep(chance.uniform(0, 0.4))
                mainstay.kill()
                mainstay.start()

            def all_delivered() -> bool:
                states = rows(data, "SELECT state FROM on_call_notices")
                return len(states) == ALERTS * STEPS and {s for (s,) in states} == {"delivered"}

            eventually(all_delivered, within_seconds=PATIENCE_SECONDS)
            assert {address for mail in smtp.messages for address in mail.recipients} == {EMAIL}
            sent = {str(mail.message["Message-ID"]) for mail in smtp.messages}
            (own,) = rows(data, "SELECT count(*) FROM on_call_notices WHERE carried_by = ''")[0]
            assert len(sent) == own, "each mail has one id, however often it was tried"
            told = texts(smtp)
            for number in range(ALERTS):
                assert f"backup {number} failed" in told
            lines = rows(
                data, "SELECT escalation_id, text FROM on_call_lines WHERE text LIKE 'Step%'"
            )
            assert len(lines) == len(set(lines)) == ALERTS * STEPS

            path = re.findall(r"(/on-call/acknowledge/[^)\s]+)", told)[0]
            assert mainstay.ask("GET", path).status_code == 200
            assert open_states(mainstay).count("acknowledged") == 0
            assert mainstay.ask("POST", path).status_code == 200
            mainstay.kill()
            mainstay.start()
            assert open_states(mainstay).count("acknowledged") == 1
            assert mainstay.ask("POST", path).status_code == 410


def test_a_step_tells_a_channel_whose_readers_take_the_alert_in_hand_by_its_link() -> None:
    with running_mainstay() as mainstay, running_http() as chat, running_http() as hook:
        channels = f"/api/instances/{mainstay.instance_id}/alert-channels"
        slack, ops = (
            mainstay.call("POST", channels, json={"type": kind, "config": {"webhookUrl": url}})
            for kind, url in (("slack", f"{chat.url}/services/T/B/x"), ("webhook", hook.url))
        )
        steps = [
            {"kind": "channel", "channelId": made.json()["id"], "waitMinutes": 0}
            for made in (slack, ops)
        ]
        body = {"name": "Tell ops", "minimumSeverity": "critical", "steps": steps}
        assert mainstay.call("POST", "/api/escalation-policies", json=body).status_code == 201
        unheard = {"name": "Nobody hears", "matchers": "team=none", "channelIds": []}
        unheard["channelIds"] = [step["channelId"] for step in steps]
        routes = "/api/projects/inspections/alert-routes"
        assert mainstay.call("POST", routes, json=unheard).status_code == 201

        open_alert(mainstay, "the nightly backup failed")
        told = json.loads(hook.wait_for(1)[0].body)
        link = told["acknowledgeUrl"].removeprefix(mainstay.url)
        said = chat.wait_for(1)[0].body.decode()
        assert "|Acknowledge>" in said
        assert link not in said, "each channel has a link of its own"

        assert mainstay.ask("GET", link).status_code == 200
        assert "acknowledged" not in open_states(mainstay)
        assert mainstay.ask("POST", link[:-2] + "xx").status_code == 404
        assert mainstay.ask("POST", link).status_code == 200
        assert open_states(mainstay) == ["acknowledged"]
        assert "Somebody in Inspections" in mainstay.ask("POST", link).text
        (alert,) = mainstay.get(f"/api/instances/{mainstay.instance_id}/alerts")["alerts"]
        assert alert["acknowledgedAt"]

        over = {"alertId": alert["id"], "action": "resolve"}
        path = f"/api/instances/{mainstay.instance_id}/alerts"
        assert mainstay.call("POST", path, json=over).is_success
        ended = json.loads(hook.wait_for(2)[1].body)
        assert ended["type"] == "alert.resolved"
        assert "acknowledgeUrl" not in ended
        chat.wait_for(2)
        assert mainstay.ask("POST", link).status_code == 410
        time.sleep(1)
        assert (len(hook.requests), len(chat.requests)) == (2, 2)


def test_one_link_takes_all_that_a_message_of_several_tells_of() -> None:
    with running_mainstay() as mainstay, running_http() as hook:
        made = mainstay.call(
            "POST",
            f"/api/instances/{mainstay.instance_id}/alert-channels",
            json={
                "type": "webhook",
                "config": {"webhookUrl": hook.url},
                "minimumSeverity": "critical",
            },
        ).json()
        steps = [{"kind": "channel", "channelId": made["id"], "waitMinutes": 30}]
        body = {"name": "Tell ops", "minimumSeverity": "warning", "steps": steps}
        assert mainstay.call("POST", "/api/escalation-policies", json=body).status_code == 201
        for number in range(4):
            alert = {"type": "backup_failed", "severity": "high", "title": f"Dump {number}"}
            path = f"/api/instances/{mainstay.instance_id}/alerts"
            assert mainstay.call("POST", path, json=alert).is_success
            hook.wait_for(1)  # the first is told alone, what follows within a minute together

        first, several = (
            json.loads(each.body) for each in hook.wait_for(2, timeout_seconds=PATIENCE_SECONDS)
        )
        assert several["digest"]["count"] == 3
        link = several["acknowledgeUrl"].removeprefix(mainstay.url)
        assert "Acknowledge all 3" in mainstay.ask("GET", link).text
        assert "acknowledged" not in open_states(mainstay)
        one = several["digest"]["alerts"][0]["acknowledgeUrl"].removeprefix(mainstay.url)
        assert mainstay.ask("POST", one).status_code == 200

        answer = mainstay.ask("POST", link).text

        assert "2 acknowledged, 1 was in somebody's hands." in answer
        assert sorted(open_states(mainstay)) == [*["acknowledged"] * 3, "running"]
        taken = mainstay.get(f"/api/instances/{mainstay.instance_id}/alerts?acknowledged=false")
        assert [each["id"] for each in taken["alerts"]] == [first["alert"]["id"]]


def open_states(mainstay: Mainstay) -> list[str]:
    found = mainstay.get("/api/escalations?status=open")["escalations"]
    return [str(each["state"]) for each in found]
