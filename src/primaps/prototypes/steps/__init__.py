"""Sums over the pixels and tokens of a batch that the method is made of: `primaps.prototypes.sums` says what
are; `plain` computes them in torch, `compiled` on a CPU by loops, which are in the modules named
``..._kernel``.
"""
