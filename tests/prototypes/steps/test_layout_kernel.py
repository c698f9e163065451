"""How logits and proposal ids are laid out for the loops."""

import math

import pytest
import torch

from primaps.prototypes.steps.layout_kernel import Tokens, ids_array, unpack


@pytest.mark.parametrize("classes", [1, 8, 27])
def test_classes_stand_next_to_each_other_and_come_back(random, classes):
    logits = random(classes, 9, 11)
    tokens = Tokens(logits, (36, 44), 1)
    columns, width = tokens.layout
    assert (columns, width % 8, len(tokens.values)) == (11, 0, 99 * width)
    laid_out = torch.from_numpy(tokens.values).view(9, 11, width)
    torch.testing.assert_close(laid_out[..., :classes].permute(2, 0, 1), logits / math.log(2))
    assert (laid_out[..., classes:] == -1e30).all()
    back = torch.empty(classes, 99)
    unpack(back.numpy(), tokens.values, width)
    torch.testing.assert_close(back.view(classes, 9, 11) * math.log(2), logits)


@pytest.mark.parametrize(
    ("given", "kept"),
    [(torch.uint8, "uint8"), (torch.int16, "int64"), (torch.int32, "int32")],
)
def test_ids_keep_their_type_if_loops_know_it(given, kept):
    ids = torch.arange(6, dtype=given).view(2, 3)
    found = ids_array(ids.T)
    assert found.dtype == kept
    assert found.flags.c_contiguous
    assert found.tolist() == ids.T.tolist()
