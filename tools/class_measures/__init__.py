"""What `tools/measure_classes.py` measures: photographs with labels, ways to find classes in them,
and their scores.
"""
