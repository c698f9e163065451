"""What lies on disk. All writes are atomic.

Comes in: tensors, settings and records.
Goes out: safetensors shards and JSON, and the same back again, or an error that says what to do.
Open first: `run` (the folder), `store` (features and proposals), `model`.
"""
