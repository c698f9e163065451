"""What lies on disk: the store of features and proposals, the run folder, the model. All writes are
atomic.
"""
