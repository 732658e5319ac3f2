"""Secrets of Standard Webhooks: what signs, and what only looks as if it did."""

import base64

from mainstay_server.kernel.standard_webhooks import is_well_formed, new_secret, signature


def test_a_secret_is_24_to_64_bytes_in_base64() -> None:
    for size, fits in ((23, False), (24, True), (64, True), (65, False)):
        assert is_well_formed(f"whsec_{base64.b64encode(b'x' * size).decode()}") is fits
    assert is_well_formed(new_secret())
    assert signature(new_secret(), "one", "1", b"").startswith("v1,")


def test_what_no_message_could_be_signed_with_is_none() -> None:
    good = new_secret().removeprefix("whsec_")
    for wrong in ("", good, "whsec_", f"whsec_{'A' * 33}", "whsec_ünicode"):
        assert not is_well_formed(wrong)
