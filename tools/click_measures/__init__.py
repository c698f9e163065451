"""What `tools/measure_clicks.py` measures: how good a model gets by naming a few proposals."""
