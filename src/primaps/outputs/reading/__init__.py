"""Masks that were mended in other programs, one module per form.

Comes in: a folder or file of CVAT, Label Studio, COCO, or label images as PNG.
Goes out: a `MendedImage` per photograph that is spoken of, decoded when it is asked for.
Open first: `finding` (which form a folder has), `mended` (what comes out).
"""
