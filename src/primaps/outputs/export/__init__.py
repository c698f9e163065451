"""From label maps to annotated data sets, one module per format.

Comes in: images with label maps, classes, a folder.
Goes out: files of other programs; equal input gives equal bytes.
Open first: `registry` (it knows all formats), `exporter` (what a format has to do).
"""
