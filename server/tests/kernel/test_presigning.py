"""Signatures are those of Amazon's own published examples."""

import base64
import json
from datetime import UTC, datetime

import pytest
from mainstay_server.kernel.presigning import Asked, SigningKeys, path_of, presign, sign_form

# "Authenticating Requests: Using Query Parameters", with the credentials of that page.
KEYS = SigningKeys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
THEN = datetime(2013, 5, 24, tzinfo=UTC)


def test_a_signed_url_is_that_of_the_published_example() -> None:
    asked = Asked(method="GET", url="https://examplebucket.s3.amazonaws.com/test.txt")
    assert presign(asked, keys=KEYS, seconds=86_400, now=THEN) == (
        "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


def test_a_form_says_what_has_to_be_sent_and_until_when() -> None:
    fields = {"key": "user/eric/a.png", "Content-Type": "image/png"}
    signed = sign_form(fields, [["content-length-range", 0, 10]], keys=KEYS, seconds=60, now=THEN)
    policy = json.loads(base64.b64decode(signed["policy"]))
    assert policy["expiration"] == "2013-05-24T00:01:00.000Z"
    assert policy["conditions"][-1] == ["content-length-range", 0, 10]
    told = {name: value for each in policy["conditions"][:-1] for name, value in each.items()}
    assert told == {n: v for n, v in signed.items() if n not in ("policy", "x-amz-signature")}


def test_nothing_lasts_longer_than_stores_take_and_no_secret_is_shown() -> None:
    asked = Asked(method="GET", url="https://s3.example/b/a")
    presign(asked, keys=KEYS, seconds=604_800, now=THEN)
    for seconds in (0, 604_801):
        with pytest.raises(AssertionError):
            presign(asked, keys=KEYS, seconds=seconds, now=THEN)
        with pytest.raises(AssertionError):
            sign_form({}, [], keys=KEYS, seconds=seconds, now=THEN)
    assert "wJalr" not in repr(KEYS)


def test_a_path_escapes_all_that_signatures_escape() -> None:
    assert path_of("bucket", "a b/ü+&?#%/~x") == "/bucket/a%20b/%C3%BC%2B%26%3F%23%25/~x"
    assert path_of("", "bucket", "") == "/bucket"
