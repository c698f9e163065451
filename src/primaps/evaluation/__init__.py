"""Matching and metrics: the only place that sees labels."""
