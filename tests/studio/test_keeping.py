"""Pictures in memory, within a bound."""

import asyncio
import threading
import time

import pytest

pytest.importorskip("starlette", reason="the extra studio is not installed")

from primaps.studio.keeping import AT_ONCE, Kept


def test_a_picture_is_made_once_while_it_is_kept():
    made = []

    async def scene():
        kept = Kept(800)
        for tag in ("a", "b", "a"):
            content, headers = await kept.get(tag, lambda tag=tag: made.append(tag) or (b"x", {}))
            assert (content, headers) == (b"x", {})

    asyncio.run(scene())
    assert made == ["a", "b"]


def test_the_one_that_was_used_longest_ago_goes_first():
    made = []

    async def scene():
        kept = Kept(800)
        tags = [*"abcdefgh", "a", "i", "a", "b"]
        for tag in tags:
            await kept.get(tag, lambda tag=tag: (made.append(tag), (bytes(100), {}))[1])

    asyncio.run(scene())
    assert made == [*"abcdefgh", "i", "b"]


def test_what_is_large_is_not_kept():
    made = []

    async def scene():
        kept = Kept(800)
        for _ in "ab":
            await kept.get("large", lambda: (made.append(1), (bytes(101), {}))[1])

    asyncio.run(scene())
    assert made == [1, 1]


def test_only_a_few_are_made_at_once():
    lock, now, most = threading.Lock(), [0], [0]

    def make():
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        return b"", {}

    async def scene():
        kept = Kept()
        await asyncio.gather(*(kept.get(str(number), make) for number in range(10)))

    asyncio.run(scene())
    assert most == [AT_ONCE]
