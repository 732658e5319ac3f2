"""Presigned requests (AWS Signature Version 4): what somebody without keys may do with a store.

Pure functions after Amazon's "Signature Version 4 query parameters" and "POST policy"; nothing is
asked of anybody.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode, urlsplit

LONGEST_SECONDS = 604_800  # what S3 accepts: seven days
ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True)
class SigningKeys:
    """Whose signature it is; the secret is never shown."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    region: str


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as it will be sent; each of `headers` has to be sent as it is signed."""

    method: str
    url: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def presign(asked: Asked, *, keys: SigningKeys, seconds: int, now: datetime) -> str:
    """The URL with which anybody may send this one request, for so many seconds from now."""
    assert 1 <= seconds <= LONGEST_SECONDS, "stores refuse what lasts longer than seven days"
    parts = urlsplit(asked.url)
    moment = moment_of(now)
    scope = f"{moment[:8]}/{keys.region}/s3/aws4_request"
    signed = {"host": parts.netloc, **{n.lower(): v.strip() for n, v in asked.headers.items()}}
    names = ";".join(sorted(signed))
    query = {
        **asked.query,
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{keys.access_key_id}/{scope}",
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": names,
    }
    line = urlencode(sorted(query.items()), quote_via=quote, safe="")
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    request = f"{asked.method}\n{parts.path}\n{line}\n{lines}\n{names}\n{UNSIGNED}"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"{ALGORITHM}\n{moment}\n{scope}\n{digest}"
    signature = signature_of(keys.secret_access_key, scope, text)
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{line}&X-Amz-Signature={signature}"


def sign_form(
    fields: Mapping[str, str],
    conditions: Sequence[Sequence[object]],
    *,
    keys: SigningKeys,
    seconds: int,
    now: datetime,
) -> dict[str, str]:
    """The fields of a form that anybody may post to the bucket, for so many seconds from now.

    What the fields say is what has to be sent; further conditions, such as
    `["content-length-range", 1, 1024]`, are checked by the store.
    """
    assert 1 <= seconds <= LONGEST_SECONDS, "stores refuse what lasts longer than seven days"
    moment = moment_of(now)
    scope = f"{moment[:8]}/{keys.region}/s3/aws4_request"
    ends = now.astimezone(UTC) + timedelta(seconds=seconds)
    filled = {
        **fields,
        "x-amz-algorithm": ALGORITHM,
        "x-amz-credential": f"{keys.access_key_id}/{scope}",
        "x-amz-date": moment,
    }
    policy = {
        "expiration": ends.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "conditions": [*({name: value} for name, value in filled.items()), *conditions],
    }
    written = base64.b64encode(json.dumps(policy).encode()).decode()
    signature = signature_of(keys.secret_access_key, scope, written)
    return {**filled, "policy": written, "x-amz-signature": signature}


def path_of(*segments: str) -> str:
    """A path as signatures have it: all but letters, digits, `-_.~` and slashes escaped."""
    return quote("/" + "/".join(part for part in segments if part), safe="/-_.~")


def moment_of(now: datetime) -> str:
    """A time as signatures have it."""
    return now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def signature_of(secret_access_key: str, scope: str, text: str) -> str:
    """The signature of a text within a scope (`date/region/s3/aws4_request`)."""
    key = b"AWS4" + secret_access_key.encode()
    for step in (*scope.split("/"), text):
        key = hmac.digest(key, step.encode(), "sha256")
    return key.hex()
