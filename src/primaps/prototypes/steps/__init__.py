"""Sums over the pixels and tokens of a batch, which the method is made of;
`primaps.prototypes.sums` says what they are.

Comes in: logits or prototypes, features, proposals.
Goes out: ballots, mean probabilities, losses with gradients.
Open first: `choice`, `plain` (torch), `compiled` (a CPU's loops, which are in the modules named
``..._kernel``).
"""
