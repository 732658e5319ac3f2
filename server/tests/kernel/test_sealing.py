"""Sealed columns: what a dump shows of them, and who can read it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mainstay_server.kernel.sealing import MARK, seal, sealed_texts, unseal
from mainstay_server.kernel.settings import forget_settings


@pytest.fixture(autouse=True)
def _data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path))
    forget_settings()
    yield
    forget_settings()


def test_a_text_is_read_again_with_the_key_and_for_its_purpose_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sealed = seal("whsec_very-secret", purpose="a")
    assert "secret" not in sealed.removeprefix(MARK)
    assert seal("whsec_very-secret", purpose="a") != sealed
    assert unseal(sealed, purpose="a") == "whsec_very-secret"
    assert unseal(sealed, purpose="b") == ""
    assert unseal(sealed[:-4] + "AAA=", purpose="a") == ""
    assert unseal(MARK + "*", purpose="a") == ""
    monkeypatch.setenv("MAINSTAY_SECRET_KEY", "another key that is long enough for one")
    forget_settings()
    assert unseal(sealed, purpose="a") == ""


def test_what_lay_open_before_is_read_and_what_is_empty_stays_so() -> None:
    assert unseal("whsec_old", purpose="a") == "whsec_old"
    assert seal("", purpose="a") == ""
    once = sealed_texts({"url": "https://a/b", "port": 1}, purpose="a")
    assert once["port"] == 1
    assert sealed_texts(once, purpose="a") == once
