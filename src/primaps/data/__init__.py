"""Photographs and data sets: reading, scanning folders, labelled data sets behind one protocol.

Comes in: paths.
Goes out: upright (H, W, 3) uint8 RGB images; label images for `evaluation/` alone.
Open first: `reading`, `scanning`, `dataset`.
"""
