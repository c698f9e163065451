"""Sums over the pixels and tokens of a batch that the method is made of: `protocol` says what they
are; `plain` computes them in torch, `compiled` on a CPU by loops, which are in the modules named
``..._kernel``.
"""
