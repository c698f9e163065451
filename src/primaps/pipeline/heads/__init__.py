"""Heads in the corridor: crops to train on, training, cluster centres, import.

Comes in: photographs and a backbone, or an official checkpoint.
Goes out: a folder with a head.
Open first: `head_fitting`, `head_import`.
"""
