"""The measurements of ``tools/measure_backbone.py``, one module each."""
