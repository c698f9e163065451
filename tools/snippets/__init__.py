"""The blocks of code in README and docs, carried out as a reader would: see ``run_snippets.py``.

Comes in: a page of Markdown.
Goes out: of every block whether it ran, was only parsed, or failed.
Open first: `pages` (what a block is), `running` (a page from top to bottom), `exceptions`.
"""
