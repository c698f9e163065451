"""Photometric augmentation of HP: what its consistency loss compares an image with (Seong et al.,
CVPR 2023).
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from primaps.features.registry import Triple
from primaps.features.views import jitter_colours, on_real_colours, uniform

JITTER: Final = 0.3
HUE: Final = 0.1
GREY_PROBABILITY: Final = 0.2
BLUR_PROBABILITY: Final = 0.5
BLUR_KERNEL: Final = 5
BLUR_SIGMA: Final = (0.1, 2.0)


def augment(
    batch: Tensor, generator: torch.Generator, *, clamp_jitter: bool, mean: Triple, std: Triple
) -> Tensor:
    """Jitter, sometimes grey, sometimes blur, drawn for each image of the batch.

    Brightness, contrast and saturation factors are uniform in [0.7, 1.3] and the hue shift in
    [-0.1, 0.1], in random order; grey with probability 0.2; then with probability 0.5 a Gaussian
    blur of 5 x 5 pixels, sigma uniform in [0.1, 2].

    Args:
        batch: (N, 3, H, W) float32, normalised, sides of 3 pixels or more.
        generator: CPU generator; the only source of randomness.
        clamp_jitter: True = colours change on the normalised values, as in the official code, whose
            jitter clamps to [0, 1]. False = on de-normalised colours.
        mean: Per-channel mean of the normalisation.
        std: Per-channel standard deviation of the normalisation.

    Returns:
        (N, 3, H, W) float32, normalised.
    """
    from torchvision.transforms import functional

    def recolour(colours: Tensor) -> Tensor:
        colours = jitter_colours(colours, generator, JITTER, HUE)
        if uniform(generator) < GREY_PROBABILITY:
            grey: Tensor = functional.rgb_to_grayscale(colours, num_output_channels=3)
            return grey
        return colours

    augmented = []
    for image in batch:
        changed = recolour(image) if clamp_jitter else on_real_colours(image, mean, std, recolour)
        if uniform(generator) < BLUR_PROBABILITY:
            sigma = uniform(generator, *BLUR_SIGMA)
            changed = functional.gaussian_blur(changed, [BLUR_KERNEL, BLUR_KERNEL], [sigma, sigma])
        augmented.append(changed)
    return torch.stack(augmented)
