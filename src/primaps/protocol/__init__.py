"""Rows of the paper's table; see ``docs/benchmark.md``.

Comes in: a data set, a backbone or a head, a method.
Goes out: honest scores, a record of everything that led to them, tables.
Open first: `row` (what is asked for), `measure` (how it is done), `published_rows/`.
"""
