import pytest

from primaps.engine.giving_out import check_failures, given_out
from primaps.engine.options import EngineOptions
from primaps.engine.orders import Order
from primaps.errors import FailureLimitError
from primaps.progress import Silent

ORDER = Order("/nowhere", "/nowhere", "/nowhere", "cpu", {})


def test_nothing_to_do_starts_no_worker():
    assert list(given_out(ORDER, [], EngineOptions(workers=2), Silent())) == []


def test_what_failed_before_counts():
    with pytest.raises(FailureLimitError, match=r"at most 2 inputs .* but there are 3"):
        list(given_out(ORDER, [], EngineOptions(), Silent(), failed=3, most=2))
    check_failures(3, 3)
    check_failures(10**6, None)
