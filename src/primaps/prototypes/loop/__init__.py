"""The loop that fits prototypes (`fit`), in parts: its arguments and state, where it starts, what
its steps draw, and how they descend.
"""
