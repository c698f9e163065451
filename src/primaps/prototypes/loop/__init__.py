"""Parts of the loop in `primaps.prototypes.fit`: its arguments and state, where it starts, what its
steps draw, and how they descend.
"""
