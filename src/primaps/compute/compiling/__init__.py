"""What loops over arrays need to become machine code: compilation with a cache, and vector
instructions.
"""
