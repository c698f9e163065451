"""primaps."""
