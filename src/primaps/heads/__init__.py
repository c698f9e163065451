"""Heads on top of a frozen backbone (STEGO, HP): network, training, files, official checkpoints.

Comes in: (N, C, h, w) features of a backbone.
Goes out: (N, D, h, w) codes, which are features like any other.
Open first: `loading` (backbone and head), `extractor`, `training`.
"""
