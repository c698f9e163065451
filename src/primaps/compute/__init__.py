"""Where and how things are computed: cores, groups of processes, compiled loops. Knows nothing of
the method.
"""
