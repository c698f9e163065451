"""Class prototypes, PriMaPs-EM. The modules here are the method: pure, and short.

Comes in: features and proposals of the images, by a `primaps.types.FeatureSource`.
Goes out: (K, C) prototypes, by a `primaps.types.FitResult`.
Open first: `em`, `clusters`, `proposal_em`; then `loop/fit.py`, which runs them.
"""
