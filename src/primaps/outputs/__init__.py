"""What people and other programs read: label files, pictures, the report.

Comes in: label maps, proposals, statistics.
Goes out: PNG and HTML files; equal input gives equal bytes.
Open first: `label_files`, `visualize`, `showing`, `viewer`.
"""
