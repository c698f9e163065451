"""How processes divide images and put their results together, without processes."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.compute.group import Alone, gather, own_part


class Member:
    """One of several processes that were asked before what they give."""

    def __init__(self, rank, size, given=None):
        self.rank, self.size, self.given = rank, size, given

    def exchange(self, tensors):
        if self.given is None:
            self.sent = dict(tensors)
            return [self.sent]
        assert tensors.keys() == self.given[self.rank].keys()
        return self.given


@given(count=st.integers(0, 40), size=st.integers(1, 9))
def test_every_item_belongs_to_one_process_and_the_order_is_kept(count, size):
    parts = [own_part(Member(rank, size), range(count)) for rank in range(size)]
    assert [item for part in parts for item in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@settings(deadline=None)
@given(count=st.integers(0, 30), size=st.integers(2, 5))
def test_all_get_the_rows_of_all_in_order(count, size):
    rows = [(torch.full((index % 3,), float(index)), torch.tensor(index)) for index in range(count)]
    askers = [Member(rank, size) for rank in range(size)]
    for asker in askers:
        gather(asker, own_part(asker, rows))
    sent = [asker.sent for asker in askers]
    for rank in range(size):
        found = gather(Member(rank, size, sent), own_part(Member(rank, size), rows))
        assert len(found) == count
        for (values, index), (expected, number) in zip(found, rows, strict=True):
            assert torch.equal(values, expected)
            assert index == number


def test_one_process_alone_keeps_its_rows():
    rows = [(torch.ones(2),), (torch.zeros(1),)]
    assert gather(Alone(), rows) == rows
    assert own_part(Alone(), rows) == rows
