"""The projection head against a plain reference, and its dropout."""

from __future__ import annotations

import pytest
import torch

from primaps.errors import ConfigError
from primaps.heads.projection import ProjectionHead


def test_code_is_the_sum_of_a_linear_and_a_nonlinear_branch() -> None:
    torch.manual_seed(0)
    head = ProjectionHead(5, 3).eval()
    features = torch.randn(2, 5, 4, 6)

    code = head(features)

    weights = {name: value.squeeze() for name, value in head.state_dict().items()}
    token = features[1, :, 2, 3]
    inner = (weights["hidden.weight"] @ token + weights["hidden.bias"]).clamp(min=0.0)
    expected = (
        weights["linear.weight"] @ token
        + weights["linear.bias"]
        + weights["output.weight"] @ inner
        + weights["output.bias"]
    )
    assert code.shape == (2, 3, 4, 6)
    torch.testing.assert_close(code[1, :, 2, 3], expected)


def test_without_the_nonlinear_branch_it_is_linear() -> None:
    head = ProjectionHead(5, 3, nonlinear=False).eval()
    first, second = torch.randn(2, 1, 5, 2, 2)
    assert set(head.state_dict()) == {"linear.weight", "linear.bias"}
    torch.testing.assert_close(
        head(first + second) + head(torch.zeros_like(first)), head(first) + head(second)
    )


def test_training_drops_whole_channels_and_evaluation_nothing() -> None:
    torch.manual_seed(0)
    head = ProjectionHead(64, 2, nonlinear=False, dropout=0.5)
    head.linear.weight.data.fill_(1.0)
    head.linear.bias.data.zero_()
    features = torch.ones(1, 64, 3, 3)

    code = head.train()(features)

    assert len(code.unique()) == 1, "all tokens lose the same channels"
    assert code[0, 0, 0, 0] % 2 == 0, "kept channels are scaled by 1 / (1 - p)"
    assert code[0, 0, 0, 0] != 64
    torch.testing.assert_close(head.eval()(features), torch.full((1, 2, 3, 3), 64.0))


def test_the_two_branches_drop_apart_from_each_other() -> None:
    torch.manual_seed(0)
    head = ProjectionHead(1, 1, dropout=0.5).train()
    for layer in (head.linear, head.hidden, head.output):
        assert layer is not None
        layer.weight.data.fill_(1.0)
        layer.bias.data.zero_()
    found = {head(torch.ones(1, 1, 1, 1)).item() for _ in range(64)}
    assert found == {0.0, 2.0, 4.0}


@pytest.mark.parametrize(
    ("channels", "dim", "dropout"), [(0, 1, 0.1), (1, 0, 0.1), (1, 1, 1.0), (1, 1, -0.1)]
)
def test_impossible_numbers_are_refused(channels: int, dim: int, dropout: float) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        ProjectionHead(channels, dim, dropout=dropout)


@pytest.mark.parametrize("nonlinear", [True, False])
def test_a_head_that_absorbed_a_scale_gives_the_codes_of_scaled_features(nonlinear: bool) -> None:
    torch.manual_seed(0)
    head = ProjectionHead(5, 3, nonlinear=nonlinear).eval()
    features = torch.randn(2, 5, 4, 6)
    expected = head(12.5 * features)
    head.absorb_scale(12.5)
    torch.testing.assert_close(head(features), expected)
