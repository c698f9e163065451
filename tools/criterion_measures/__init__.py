"""The parts of ``tools/criterion.py``, one module each."""
