"""Networks written down a second time, from their papers and nothing but tensors: what
`primaps doctor --backbone` compares the loaded ones with. Never used for anything else.

Comes in: the tensors of a weights file as they lie there, and a normalised batch (N, 3, H', W').
Goes out: (N, C, h, w) float32 features.
Open first: `vit` (DINO, DINOv2, DINOv3), `efficientnet` (EfficientNet-Lite).
"""
