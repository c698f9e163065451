"""Sums over the pixels and tokens of a batch, which the method is made of.

`primaps.prototypes.sums` says what they are; `plain` computes them in torch, `compiled` on a CPU by
loops, which are in the modules named ``..._kernel``; `choice` decides.
"""
