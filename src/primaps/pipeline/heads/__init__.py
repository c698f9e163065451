"""Heads in the corridor: crops to train on, training, cluster centres, import of official
checkpoints.
"""
