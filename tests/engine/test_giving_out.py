import pytest

from primaps.engine.giving_out import check_failures, given_out
from primaps.engine.options import EngineOptions
from primaps.engine.orders import Order
from primaps.errors import DatasetError
from primaps.progress import Silent

ORDER = Order("/nowhere", "/nowhere", "cpu", {})


def test_nothing_to_do_starts_no_worker():
    assert list(given_out(ORDER, [], EngineOptions(workers=2), Silent())) == []


def test_what_failed_before_counts():
    with pytest.raises(DatasetError, match=r"at most 2 inputs .* but 3 did"):
        list(given_out(ORDER, [], EngineOptions(max_failures=2), Silent(), failed=3))
    check_failures(3, EngineOptions(max_failures=3))
    check_failures(10**6, EngineOptions())
