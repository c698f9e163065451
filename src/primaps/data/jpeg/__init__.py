"""Damaged JPEG data, which decoders fill with garbage in silence.

Comes in: the bytes of a JPEG file.
Goes out: what is wrong with its entropy-coded data.
Open first: `damage`.
"""
