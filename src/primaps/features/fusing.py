"""Fold batch normalisation into the convolutions before it: the same features with fewer passes
over memory.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(model: nn.Module) -> None:
    """Replace every convolution that a batch normalisation follows by one that does both, in place.

    Only for frozen models whose modules run in the order in which they are listed, as timm's
    EfficientNets do. Features differ by rounding alone.

    Args:
        model: In evaluation mode, weights loaded; its batch normalisations are timm's, which end in
            an activation.
    """
    for block in list(model.modules()):
        children = list(block.named_children())
        for (name, convolution), (norm_name, norm) in pairwise(children):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(block, name, fuse_conv_bn_eval(convolution, norm))
                setattr(block, norm_name, norm.act)
