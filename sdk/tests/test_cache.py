"""The cache in memory: values come back as they were, are made once, and are bounded."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import mainstay
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mainstay._internal.caching.codec import Codec, Unreadable
from mainstay._internal.clock import Clock
from mainstay.cache import DAY, LONG, MEDIUM, SHORT, Cache, key
from tests.app_servers import eventually

VALUES = [
    None,
    True,
    7,
    2**70,
    1.5,
    "ä\ud800",
    b"\0\xff",
    (1, (2, [3])),
    {1, 2},
    frozenset({"a"}),
    {"$": "datetime", "v": "not one"},
    {1: "whole number", ("a", 2): "tuple"},
    Decimal("1.10"),
    UUID(int=7),
    date(2026, 11, 21),
    datetime(2026, 11, 21, 12, tzinfo=timezone.utc),
    timedelta(days=-1, microseconds=3),
]


class Watch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.now)


class Opaque:
    def __init__(self, number: int) -> None:
        self.number = number


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_exactly_as_it_was(value: object) -> None:
    cache = Cache()

    cache.set("it", value)

    found = cache.get("it", "nothing")
    assert found == value
    assert type(found) is type(value)


def test_lifetimes_have_names_and_end() -> None:
    watch = Watch()
    cache = Cache(clock=watch.clock())
    assert (SHORT, MEDIUM, LONG, DAY) == (60, 300, 3_600, 86_400)

    cache.set("it", 1, SHORT)
    watch.now += 59.9
    before = cache.get("it")
    watch.now += 0.2

    assert (before, cache.get("it")) == (1, None)
    with pytest.raises(ValueError, match="lifetime"):
        cache.set("it", 1, 0)
    with pytest.raises(ValueError, match="lifetime"):
        cache.set("it", 1, 8 * DAY)


def test_two_callers_never_share_what_one_of_them_changes() -> None:
    cache = Cache()
    cache.set("list", [1])

    cache.get("list").append(2)
    cache.get_or_set("made", lambda: [1]).append(2)

    assert (cache.get("list"), cache.get("made")) == ([1], [1])


def test_what_cannot_be_kept_exactly_is_refused_unless_pickles_are_signed() -> None:
    with pytest.raises(TypeError, match=r"a Opaque cannot be cached.*secret"):
        Cache().set("it", Opaque(7))
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(TypeError, match="levels deep"):
        Cache().set("it", deep)

    signing = Cache(secret="of this app")
    signing.set("it", Opaque(7))
    assert signing.get("it").number == 7


def test_a_pickle_is_opened_only_with_the_secret_and_under_its_own_key() -> None:
    signed = Codec("right").encode("mine", Opaque(7))

    assert Codec("right").decode("mine", signed).number == 7
    for codec, name, content in [
        (Codec("wrong"), "mine", signed),
        (Codec(None), "mine", signed),
        (Codec("right"), "another", signed),
        (Codec("right"), "mine", signed[:-1] + b"x"),
        (Codec("right"), "mine", b"\x80\x04K\x07."),
        (Codec("right"), "mine", b"t" + b'{"$":"os.system","v":"true"}'),
        (Codec("right"), "mine", b"j{"),
    ]:
        with pytest.raises(Unreadable):
            codec.decode(name, content)


TEXTS = st.text(alphabet="a:*=(+),~%", max_size=2)
PARTS = st.lists(
    TEXTS | st.lists(TEXTS, max_size=2) | st.dictionaries(TEXTS, TEXTS, max_size=2), max_size=2
)


@example([[]], [[""]])
@example([[]], [{}])
@example([{}], [{"": ""}])
@example([[[]]], [[[""]]])
@given(PARTS, PARTS)
def test_different_parts_never_make_one_key(one: list[Any], other: list[Any]) -> None:
    assert (key(*one) == key(*other)) is (one == other or (one, other) in (([], [""]), ([""], [])))


def test_keys_read_well_and_stay_short() -> None:
    assert key("article", 7, page=2, draft=False) == "article:7:draft=false:page=2"
    assert key("who", "a:b*") == "who:a%3Ab%2A"
    long, longer = key("x" * 1_000), key("x" * 1_001)
    assert len(long) < 512
    assert long != longer
    with pytest.raises(TypeError, match=r"a Opaque has no place in a key"):
        key(Opaque(1))


def test_a_pattern_deletes_what_it_matches_and_nothing_a_user_typed() -> None:
    cache = Cache()
    for name in ("article:1", "article:2", "article.1", key("article", "*")):
        cache.set(name, 1)

    assert cache.delete_pattern(key("article", "*")) == 1
    assert cache.delete_pattern("article:*") == 2
    assert (cache.delete("article.1", "gone"), cache.statistics().entries) == (1, 0)


def test_tags_delete_what_was_set_with_them() -> None:
    cache = Cache()
    cache.set("one", 1, tags=("news", "home"))
    cache.set("two", 2, tags=("home",))
    cache.set("two", 3)

    assert cache.delete_tagged("home") == 1
    assert (cache.get("one"), cache.get("two")) == (None, 3)


def test_a_function_is_called_once_for_each_set_of_arguments() -> None:
    cache = Cache()
    called: list[Any] = []

    @cache.cached(LONG)
    def article(number: int, *, language: str = "en") -> str:
        called.append((number, language))
        return f"{number} {language}"

    kept: Any = article
    assert [article(7), article(number=7), article(7, language="hi")] == ["7 en", "7 en", "7 hi"]
    assert called == [(7, "en"), (7, "hi")]
    assert kept.forget(7) == 1
    article(7)
    article(7, language="hi")
    assert called == [(7, "en"), (7, "hi"), (7, "en")]
    assert kept.key(7) == kept.key(number=7, language="en")


def test_a_template_names_the_key_and_the_tags() -> None:
    cache = Cache()

    class Shop:
        @cache.cached(SHORT, key="shop:{number}:{self.city}", tags=("city-{self.city}",))
        def price(self, number: int) -> float:
            return number * 1.5

        city = "a:b"

    assert Shop().price(2) == 3.0
    assert cache.get("shop:2:a%3Ab") == 3.0
    assert cache.delete_tagged("city-a%3Ab") == 1
    with pytest.raises(ValueError, match="'gone', which is no argument"):
        cache.cached(key="{gone}")(lambda number: number)
    with pytest.raises(ValueError, match="is a method"):
        cache.cached()(Shop.price)


def test_a_coroutine_function_is_kept_like_any_other() -> None:
    cache = Cache()
    called = []

    @cache.cached()
    async def slow(number: int) -> int:
        called.append(number)
        await asyncio.sleep(0.01)
        return number * 2

    async def many() -> list[int]:
        return await asyncio.gather(*(slow(2) for _ in range(20)))

    assert asyncio.run(many()) == [4] * 20
    assert called == [2]
    statistics = cache.statistics()
    assert (statistics.computed, statistics.waited, statistics.hits) == (1, 19, 19)


def test_of_many_threads_one_makes_the_value() -> None:
    cache = Cache()
    made = []
    go = threading.Event()

    def make() -> int:
        made.append(1)
        go.wait(30)
        return 7

    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(cache.get_or_set("it", make)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: cache.statistics().waited == 7)
    go.set()
    for thread in threads:
        thread.join()

    assert (found, made) == ([7] * 8, [1])


def test_an_error_reaches_all_who_wait_and_is_not_kept() -> None:
    cache = Cache()

    async def fails() -> None:
        await asyncio.sleep(0.01)
        raise ZeroDivisionError

    async def both() -> list[Any]:
        asked = [cache.aget_or_set("it", fails) for _ in range(2)]
        return await asyncio.gather(*asked, return_exceptions=True)

    assert [type(error) for error in asyncio.run(both())] == [ZeroDivisionError] * 2
    assert cache.get_or_set("it", lambda: 1) == 1


def test_one_who_hangs_up_does_not_end_it_for_the_others() -> None:
    cache = Cache()
    began = []

    async def slow() -> int:
        began.append(1)
        await asyncio.sleep(0.05 if len(began) > 1 else 60)
        return len(began)

    async def story() -> int:
        first = asyncio.create_task(cache.aget_or_set("it", slow))
        await asyncio.sleep(0)
        second = asyncio.create_task(cache.aget_or_set("it", slow))
        third = asyncio.create_task(cache.aget_or_set("it", slow))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0.01)
        third.cancel()
        return await second

    assert asyncio.run(story()) == 2


def test_a_function_that_needs_its_own_value_does_not_wait_for_itself() -> None:
    cache = Cache()
    depth: list[int] = []

    def make() -> int:
        depth.append(1)
        return 1 if len(depth) > 2 else cache.get_or_set("it", make) + 1

    assert cache.get_or_set("it", make) == 3


def test_near_its_end_a_value_is_made_anew_by_one_while_the_others_go_on() -> None:
    watch = Watch()
    cache = Cache(clock=watch.clock())
    cache.get_or_set("it", lambda: "old", 100)
    watch.now += 95
    seen = []

    def make() -> str:
        seen.append(cache.get_or_set("it", lambda: "never", 100))
        other = threading.Thread(
            target=lambda: seen.append(cache.get_or_set("it", lambda: "never", 100))
        )
        other.start()
        other.join()
        return "new"

    assert cache.get_or_set("it", make, 100) == "new"
    assert seen == ["old", "old"]
    watch.now += 50
    assert cache.get("it") == "new"
    assert cache.statistics().early == 1


def test_a_value_that_cannot_be_made_anew_holds_until_its_end() -> None:
    watch = Watch()
    cache = Cache(clock=watch.clock())
    cache.set("it", "old", 100)
    watch.now += 95

    def fails() -> str:
        raise ZeroDivisionError

    assert cache.get_or_set("it", fails, 100) == "old"
    watch.now += 6
    with pytest.raises(ZeroDivisionError):
        cache.get_or_set("it", fails, 100)


def test_the_memory_is_bounded_in_entries_and_bytes() -> None:
    few = Cache(most_entries=3)
    for number in range(4):
        few.set(str(number), number)
        few.get("0")
    small = Cache(most_bytes=10_000)
    small.set("too large", "x" * 20_000)
    for number in range(100):
        small.set(str(number), "x" * 1_000)

    assert [few.get(str(number)) for number in range(4)] == [0, None, 2, 3]
    assert few.statistics().evicted == 1
    assert small.get("too large") is None
    assert small.statistics().bytes <= 10_000
    assert small.statistics().entries == 7


def test_expired_entries_are_cleaned_up() -> None:
    watch = Watch()
    cache = Cache(clock=watch.clock())
    cache.set("short", 1, 10)
    cache.set("long", 1, 100)
    watch.now += 11
    by_hand = cache.clean_up()
    watch.now += 100
    cache.set("another", 1)

    assert by_hand == 1
    assert (cache.statistics().entries, cache.statistics().expired) == (1, 2)


def test_statistics_tell_of_each_layer() -> None:
    cache = Cache()
    cache.get("it")
    cache.set("it", 1)
    cache.get("it")
    cache.get("it")

    told = cache.statistics()

    assert (told.hits, told.misses, round(told.hit_ratio, 2)) == (2, 1, 0.67)
    assert (told.memory.hits, told.memory.misses) == (2, 1)
    assert (told.redis.hits, told.redis.misses, told.redis.hit_ratio) == (0, 0, 0.0)
    assert not told.is_shared
    assert cache.check() == "pass"


@pytest.mark.parametrize(
    "make", [lambda: Cache(prefix="a*b"), lambda: Cache(prefix=""), lambda: Cache(early=1)]
)
def test_options_that_make_no_sense_are_refused(make: Callable[[], Cache]) -> None:
    with pytest.raises(ValueError, match=r"prefix|early"):
        make()


def test_neither_mainstay_nor_its_cache_in_memory_needs_an_extra() -> None:
    asked = (
        "import sys\n"
        "for name in ('cashews', 'redis', 'sqlalchemy', 'jsonschema'): sys.modules[name] = None\n"
        "import mainstay, mainstay.cache as c\n"
        "assert c.Cache().get_or_set('it', lambda: 7) == 7\n"
        "try: c.Cache('redis://127.0.0.1')\n"
        "except ImportError as error: print(error)\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=Path(mainstay.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.stdout == "A cache in Redis needs: pip install 'mainstay[cache]'\n", ended.stderr


def test_time_passes_for_real_too() -> None:
    cache = Cache()
    cache.set("it", 1, 0.01)
    time.sleep(0.02)

    assert cache.get("it") is None
