"""The loop that fits prototypes, in parts.

Comes in: a source of features, settings, a seed, a checkpoint.
Goes out: fitted prototypes, the same after a kill.
Open first: `fit`, then `task` (arguments), `starts`, `descent`.
"""
