"""Links end when they should, and one for a single use is used once however many try."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainstay_server.areas.storage.models import Bucket, Link, Status, StoredObject
from mainstay_server.areas.storage.service import links
from mainstay_server.areas.storage.service.links import Token, What
from mainstay_server.kernel.database import new_id, reading, transaction
from mainstay_server.kernel.problems import Forbidden, Gone, Problem
from mainstay_server.kernel.settings import ServerSettings, forget_settings, override_settings
from pydantic import SecretStr
from sqlalchemy.orm import Session
from tests.areas.storage.test_service_uses import NOON, make_bucket
from tests.databases import on_both_stores

AT_ONCE = 8
HOUR = timedelta(hours=1)


def a_file(session: Session, bucket: Bucket, key: str = "a.txt") -> StoredObject:
    file = StoredObject(
        id=new_id(),
        bucket_id=bucket.id,
        key=key,
        place=key,
        size_bytes=1,
        content_type="text/plain",
        status=Status.STORED,
        created_by="test",
        created_at=NOON,
        stored_at=NOON,
    )
    session.add(file)
    session.flush()
    return file


def a_link(session: Session, uses: int | None) -> tuple[Bucket, Link]:
    bucket = make_bucket(session)
    file = a_file(session, bucket)
    made = links.create_link(
        session, bucket, file, uses=uses, note="", seconds=3600, by="test", now=NOON
    )
    return bucket, made


@on_both_stores
@pytest.mark.parametrize("uses", [1, 3])
def test_many_who_use_a_link_at_once_use_it_no_more_than_it_says(
    shared_memory: None, database: None, uses: int
) -> None:
    with transaction() as session:
        bucket, link = a_link(session, uses)
    token = links.link_token(bucket, link)
    start = threading.Barrier(AT_ONCE)

    def use(_: int) -> bool:
        start.wait()
        try:
            with transaction() as session:
                links.use_link(session, token, now=NOON)
        except Gone:
            return False
        return True

    with ThreadPoolExecutor(AT_ONCE) as threads:
        assert sum(threads.map(use, range(AT_ONCE))) == uses
    with reading() as session:
        found = session.get_one(Link, link.id)
    assert (found.uses, found.uses_left) == (uses, 0)


def test_a_link_ends_at_its_second(session: Session) -> None:
    token = Token(What.DOWNLOAD, new_id(), 0, NOON + HOUR)
    text = links.sign_token(token)
    assert links.read_token(text, now=NOON + HOUR - timedelta(seconds=1)) == token
    with pytest.raises(Gone) as gone:
        links.read_token(text, now=NOON + HOUR)
    assert gone.value.code == "link-expired"


def test_another_servers_link_opens_nothing(session: Session) -> None:
    text = links.sign_token(Token(What.DOWNLOAD, new_id(), 0, NOON + HOUR))
    override_settings(ServerSettings(secret_key=SecretStr("another key of at least 32 letters")))
    try:
        with pytest.raises(Forbidden):
            links.read_token(text, now=NOON)
    finally:
        forget_settings()


@given(st.text(max_size=150))
def test_no_text_at_all_is_taken_for_a_link(text: str) -> None:
    override_settings(ServerSettings(secret_key=SecretStr("a key of at least thirty-two letters")))
    try:
        with pytest.raises(Problem):
            links.read_token(text, now=datetime(2026, 1, 1, tzinfo=UTC))
    finally:
        forget_settings()


def test_a_link_is_short_and_all_of_it_is_read_back(session: Session) -> None:
    token = Token(What.COUNTED, new_id(), 2**32 - 1, NOON + HOUR, inline=True)
    text = links.sign_token(token)
    assert len(text) == 58
    assert links.read_token(text, now=NOON) == token
