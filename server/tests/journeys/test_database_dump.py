"""Whoever gets a dump of the database, without the server's secret key, gets nothing that opens.

Ingest keys are in it as they are: they may send and never read, and stand in every browser that
loads an app. E-mail addresses, names and what apps reported are in it too: it is still private.
"""

import base64
import random
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest
from tests.journeys.attacked import Attacked, attacked_mainstay, sign_in, wait_for_the_log
from tests.journeys.running import EMAIL, PROJECT
from tests.servers.postgres import program_folder, running_postgres
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

SECRET_KEY = "a secret of the tests that is long enough"
SLACK = "T00000000/B00000000/XXXXYYYYZZZZ0000111122223333"
PAGERDUTY = "0123456789abcdef0123456789abcdef"[::-1]
UNHURRIED = {
    "MAINSTAY_LIMIT_API_PER_MINUTE": "0",
    "MAINSTAY_LIMIT_ADDRESS_PER_MINUTE": "0",
    "MAINSTAY_SECRET_KEY": SECRET_KEY,
    # Slack's and PagerDuty's hosts are never asked: the channels are made, and nothing happens.
    "MAINSTAY_OUTBOUND_ALLOW_PRIVATE": "true",
}
MOST_TRIED = 400
LIKE_A_CREDENTIAL = re.compile(rb"[A-Za-z0-9_\-+/=.:]{20,300}")


@contextmanager
def dumped(kind: str, folder: Path) -> Iterator[tuple[Attacked, bytes]]:
    """A server with everything in it, and all bytes of its database."""
    if kind == "sqlite":
        with attacked_mainstay(UNHURRIED, folder) as attacked:
            use_everything(attacked)
            assert attacked.mainstay.stop() == 0
            files = [file for file in folder.iterdir() if file.name.startswith("mainstay.db")]
            dump = b"".join(file.read_bytes() for file in files)
            attacked.mainstay.start()
            yield attacked, dump
        return
    with running_postgres() as server:
        name = server.new_database()
        where = {"MAINSTAY_DATABASE_URL": server.url_of(name)}
        with attacked_mainstay({**UNHURRIED, **where}, folder) as attacked:
            use_everything(attacked)
            command = [str(program_folder() / "pg_dump"), "--inserts", server.dsn_of(name)]
            yield attacked, subprocess.run(command, check=True, capture_output=True).stdout


def use_everything(attacked: Attacked) -> None:
    """Present each secret where it opens something, wrongly too, so that whatever notes it does."""
    told = attacked.shown_once
    instance = f"/api/instances/{attacked.hers['instanceId']}"
    told |= {"slack's address": SLACK, "pagerduty's key": PAGERDUTY}
    for kind, config in (
        ("slack", {"webhookUrl": f"https://hooks.slack.com/services/{SLACK}"}),
        ("pagerduty", {"routingKey": PAGERDUTY}),
    ):
        attacked.made(f"{instance}/alert-channels", {"type": kind, "config": config})
    asked = {"authorization": f"Bearer {told['guardKey']}"}
    ask = attacked.mainstay.ask
    assert ask("GET", "/api/guard/policy", headers=asked).is_success
    question = {"key": told["apiKey"], "address": "203.0.113.9"}
    assert ask("POST", "/api/guard/keys/verify", headers=asked, json=question).json()["valid"]
    mistyped = told["apiKey"][:-1] + ("a" if told["apiKey"][-1] != "a" else "b")
    ask("POST", "/api/guard/keys/verify", headers=asked, json={"key": mistyped})
    told["a password that was mistyped"] = "correct horse battery stapel"
    sign_in(attacked.mainstay, EMAIL, told["a password that was mistyped"])
    rotated = attacked.made(f"{instance}/api-keys/rotate", {"keyId": attacked.hers["apiKeyId"]})
    told["rotated key"] = str(rotated["key"])
    assert ask("GET", f"/join/{told['invitation']}").is_success
    told["secret key"] = SECRET_KEY
    wait_for_the_log(attacked)


def spellings(secret: str) -> dict[str, bytes]:
    """A secret as it is, and as it could lie there without being protected."""
    raw = secret.encode()
    packed = base64.b64encode(raw)
    return {"plain": raw, "hex": raw.hex().encode(), "base64": packed.rstrip(b"=")[:-1]}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_dump_contains_no_usable_key_or_token(kind: str, tmp_path: Path) -> None:
    with dumped(kind, tmp_path) as (attacked, dump):
        assert PROJECT.encode() in dump, "it is a dump of everything"
        assert str(attacked.mainstay.project["ingestKey"]).encode() in dump
        for what, secret in attacked.shown_once.items():
            for how, spelt in spellings(secret).items():
                assert spelt.lower() not in dump.lower(), f"{what} lies there in {how}"
        lines = "\n".join(attacked.mainstay.lines)
        for what, secret in attacked.shown_once.items():
            assert secret not in lines, f"the log of the server tells the {what}"
        found = sorted({text.decode() for text in LIKE_A_CREDENTIAL.findall(dump)})
        assert len(found) > 100
        with httpx.Client(base_url=attacked.mainstay.url, timeout=PATIENCE_SECONDS) as client:
            for text in random.Random(1).sample(found, min(MOST_TRIED, len(found))):
                for headers in (
                    {"authorization": f"Bearer {text}"},
                    {"cookie": f"mainstay_session={text}"},
                ):
                    for path in ("/api/me", "/api/guard/policy"):
                        assert client.get(path, headers=headers).status_code == 401, text
