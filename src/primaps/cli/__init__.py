"""The command line: parsing of arguments, and what is shown while a command works.

Every command calls the pipeline or the protocol. `primaps.cli.app` is where to begin.
"""

from primaps.cli.app import app, main

__all__ = ["app", "main"]
