"""The command line: parsing of arguments, and what is shown while a command works.

Comes in: what a user typed.
Goes out: a call of the pipeline or the protocol, progress, an exit code.
Open first: `app` (the list of commands), `stages`, `terminal`.
"""

from primaps.cli.app import app, main

__all__ = ["app", "main"]
