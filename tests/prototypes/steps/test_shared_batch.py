"""A batch that one process or several work on."""

import torch

from primaps.compute.cores import Workers
from primaps.prototypes.steps.shared_batch import SharedBatch


class Second:
    """The second of two processes; the first one gives zeros."""

    rank, size = 1, 2

    def exchange(self, tensors):
        return [{name: torch.zeros_like(each) for name, each in tensors.items()}, dict(tensors)]


def test_areas_count_the_pixels_of_every_id():
    first, second = torch.tensor([[0, 2], [2, 1]]), torch.tensor([[1, 1, 1]], dtype=torch.uint8)
    areas = SharedBatch().areas([first, second], [4, 2])
    assert [each.tolist() for each in areas] == [[1, 1, 2, 0], [0, 3]]


def test_a_process_alone_has_all_images():
    batch, values = SharedBatch(), [torch.ones(2), torch.zeros(3)]
    assert batch.own("abc") == "abc"
    assert [each.tolist() for each in batch.gather(values)] == [[1, 1], [0, 0, 0]]


def test_two_processes_divide_the_images():
    batch = SharedBatch(Workers(group=Second()))
    assert batch.own("abcd") == "cd"
    values = batch.gather([torch.ones(2), torch.ones(1)])
    assert [each.tolist() for each in values] == [[0, 0], [0], [1, 1], [1]]
