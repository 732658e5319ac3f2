"""Leaked keys over HTTP: what scanners search for, and where they say what they found."""

import hashlib
from datetime import datetime
from typing import Annotated

from fastapi import Body as JsonBody
from starlette.requests import Request

from mainstay_server.areas.api_keys.schemas import MOST_LEAKED, KeyPatternAnswer, LeakedToken
from mainstay_server.areas.api_keys.service import leaks, minting
from mainstay_server.areas.api_keys.settings import ApiKeyAreaSettings
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.limits import Bucket, Rate, bucket_key, microseconds, take
from mainstay_server.kernel.networks import network_of
from mainstay_server.kernel.problems import TooManyRequests
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.web import Router, example
from mainstay_server.tenancy import access

router = Router(prefix="/api/guard/keys")

WINDOW_SECONDS = 60
# Opens nothing anywhere: made of one letter, for the tests of scanners.
SAMPLE = "mst_production_api_rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr3wlnJl"
_PATTERN = {
    "name": "mainstay_api_key",
    "pattern": minting.SCANNER_PATTERN,
    "checksum": "The last six characters are the CRC-32 of all before them, in base 62"
    " (0-9A-Za-z), the most significant digit first.",
    "example": SAMPLE,
}
_LABELS = [
    {
        "token_hash": hashlib.sha256(SAMPLE.encode()).hexdigest(),
        "token_type": _PATTERN["name"],
        "label": "false_positive",
    }
]


@router.get(
    "/pattern",
    dependencies=[access.public("leak scanners must know what to search for")],
    summary="What an API key looks like",
    operation_id="get_api_key_pattern",
    responses=example(_PATTERN),
)
def get_pattern() -> KeyPatternAnswer:
    """The regular expression for secret scanners, and the checksum that tells keys from words."""
    return KeyPatternAnswer(**_PATTERN)


@router.post(
    "/leaked",
    dependencies=[access.public("whoever holds a key could use it, so they may have it revoked")],
    summary="Report leaked API keys",
    operation_id="report_leaked_api_keys",
    responses=example(_LABELS),
)
def report_leaked(
    request: Request,
    found: Annotated[
        list[LeakedToken],
        JsonBody(
            max_length=MOST_LEAKED,
            examples=[[{"token": SAMPLE, "type": _PATTERN["name"], "url": "", "source": ""}]],
        ),
    ],
) -> list[dict[str, str]]:
    """Have keys revoked at once: the message of GitHub's secret scanning, and its answer.

    A key of this server is a `true_positive`, revoked now or before; anything else is a
    `false_positive`. Holding the key is the proof, so no signature is asked for: who may tell that
    a key is real by asking here could tell it by using the key.
    """
    now = utc_now()
    address = request.client.host if request.client else ""
    _refuse_flood(address, now=now)
    findings = [leaks.Finding(token=one.token, url=one.url, source=one.source) for one in found]
    by_fingerprint = leaks.fingerprints_of(findings)
    real = set()
    if by_fingerprint:
        with reading() as session:
            known = leaks.find_known(session, list(by_fingerprint))
        real = {by_fingerprint[fingerprint].token for fingerprint in known}
        living = {mark: by_fingerprint[mark] for mark, is_living in known.items() if is_living}
        if living:
            with transaction() as session:
                leaks.revoke_leaked(session, living, now=now)
    return [
        {
            "token_hash": hashlib.sha256(one.token.encode()).hexdigest(),
            "token_type": one.type,
            "label": "true_positive" if one.token in real else "false_positive",
        }
        for one in found
    ]


def _refuse_flood(address: str, *, now: datetime) -> None:
    most = of(ApiKeyAreaSettings).api_keys_reports_per_minute
    rate = Rate(quota=most, window_seconds=WINDOW_SECONDS, burst=most)
    bucket = Bucket(bucket_key("api-keys-leaked", rate, network_of(address)), rate)
    verdict = take([bucket], now_us=microseconds(now))
    if not verdict.admitted:
        waiting_us = verdict.retry_after_us
        assert waiting_us is not None, "one report always fits"
        raise TooManyRequests(
            "Too many reports from this address; send many keys in one, a little later.",
            retry_after_seconds=waiting_us / 1_000_000,
        )
