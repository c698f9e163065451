"""The plain EfficientNet-Lite computes what timm's does."""

import timm
import torch
from torch.nn import functional as F

from primaps.features.plain.efficientnet import efficientnet_features


def test_features_are_the_joined_levels_of_timm():
    torch.manual_seed(0)
    model = timm.create_model(
        "tf_efficientnet_lite0", features_only=True, out_indices=(2, 3, 4)
    ).eval()
    with torch.no_grad():
        for norm in model.modules():
            if isinstance(norm, torch.nn.BatchNorm2d):
                norm.running_mean.normal_(std=0.1)
                norm.running_var.uniform_(0.5, 2)
        batch = torch.randn(1, 3, 96, 160)
        units = [F.normalize(level, dim=1) for level in model(batch)]
        expected = torch.cat([F.interpolate(unit, (12, 20), mode="bilinear") for unit in units], 1)
        features = efficientnet_features(model.state_dict(), batch)
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-4)
