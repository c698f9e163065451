"""What loops over arrays need to become machine code: compilation with a cache, and vector
instructions.

Comes in: Python functions of numpy arrays and numbers.
Goes out: machine code, cached; twins of a plain and a compiled module.
Open first: `functions`, `twins`.
"""
