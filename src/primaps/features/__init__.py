"""Frozen backbones behind one `FeatureExtractor` protocol."""
