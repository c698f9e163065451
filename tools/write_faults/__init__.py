"""Commands run in forked processes in which one file operation kills, or fails.

Comes in: a command line, and which of its operations is struck in which way.
Goes out: how it ended, what it said, and what lies in its folder then.
Open first: `attempts`, `operations`.
"""
