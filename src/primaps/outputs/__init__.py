"""Label files, pictures and the report."""
