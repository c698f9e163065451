import copy

import torch
from torch import nn

from primaps.features.fusing import fold_batch_norms


def test_folding_changes_rounding_alone():
    import timm

    torch.manual_seed(0)
    model = timm.create_model("test_efficientnet", pretrained=False).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # away from their usual initial values
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    folded = copy.deepcopy(model)
    fold_batch_norms(folded)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    batch = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected, result = model(batch), folded(batch)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
