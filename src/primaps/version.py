"""The version of this package: the one place where it stands.

The build reads it here, and everything that shows a version takes it from here: it is that of the
code that runs, in a checkout without git and in an unpacked archive as well.
"""

from __future__ import annotations

__version__ = "0.1.0"
