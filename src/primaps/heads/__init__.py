"""Heads on top of a frozen backbone (STEGO, HP): the network, its files, and the official
checkpoints.
"""
