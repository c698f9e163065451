"""Sums over the pixels and tokens of a batch that the method is made of: `plain` in torch,
`compiled` as loops on a CPU.
"""
