"""Rows of the paper's table: data set, backbone and method in, honest scores out. See
``docs/benchmark.md``.
"""
