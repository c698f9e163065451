"""Run as ``python -m primaps``."""

from primaps.cli.commands import main

main()
