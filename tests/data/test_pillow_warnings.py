from __future__ import annotations

import threading
import warnings

import pytest
from PIL import Image

from primaps.data.pillow_warnings import PillowWarningsToLog


def _bomb_check() -> None:
    Image._decompression_bomb_check((10_000, 10_000))


def _corrupt_exif() -> None:
    exif = Image.Exif()
    exif.load(b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\xff\xff\0\0\xff\xff\0\0")
    assert dict(exif) == {}


def test_the_two_warnings_exist_without_it():
    with pytest.warns(Image.DecompressionBombWarning):
        _bomb_check()
    with pytest.warns(UserWarning, match="Corrupt EXIF|Tag"):
        _corrupt_exif()


def test_size_is_not_worth_a_line_but_damage_is(caplog):
    with PillowWarningsToLog().reading("street.jpg"):
        _bomb_check()
        assert caplog.messages == []
        _corrupt_exif()
    assert caplog.messages
    assert all(message.startswith("street.jpg: ") for message in caplog.messages)


def test_warnings_of_others_keep_their_filters():
    reading = PillowWarningsToLog()
    with reading.reading("a.jpg"), pytest.raises(UserWarning, match="from a test"):
        warnings.warn("from a test", UserWarning, stacklevel=1)


def test_pillow_used_by_a_thread_that_is_not_reading_is_not_redirected(caplog):
    reading = PillowWarningsToLog()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with reading.reading("a.jpg"):
            thread = threading.Thread(target=_bomb_check)
            thread.start()
            thread.join()
    assert [warning.category for warning in caught] == [Image.DecompressionBombWarning]
    assert caplog.messages == []


def test_threads_that_leave_in_another_order_restore_the_filters():
    reading = PillowWarningsToLog()
    before, show = list(warnings.filters), warnings.showwarning
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with reading.reading("first"):
            first_in.set()
            second_in.wait(10)
        first_out.set()

    def second() -> None:
        first_in.wait(10)
        with reading.reading("second"):
            second_in.set()
            first_out.wait(10)
            _bomb_check()

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
    assert warnings.showwarning is show
    with pytest.warns(Image.DecompressionBombWarning):
        _bomb_check()
