"""Matching and metrics: the only room that sees a data set's labels.

Comes in: label maps, or features, and label images.
Goes out: confusion matrices and scores in [0, 1].
Open first: `evaluate`, `metrics`, `matching`.
"""
