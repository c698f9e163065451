"""Frozen backbones behind one protocol, `primaps.types.FeatureExtractor`.

Comes in: a (H, W, 3) uint8 RGB image.
Goes out: (C, h, w) float32 features.
Open first: `registry` (names), `extractor` (what all have in common), `backbone` (loading).
"""
