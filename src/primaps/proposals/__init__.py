"""Principal mask proposals: iterated PCA, scores, refinement. Pure functions of arrays.

Comes in: an image and its (C, h, w) features.
Goes out: `primaps.types.MaskProposals`, ids 1..K at the size of the image.
Open first: `principal` (the method), `extract` (all of it), `crf/README.md`.
"""
