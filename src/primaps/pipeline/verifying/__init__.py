"""Is what lies in a folder whole? Nothing is repaired here: what is torn is named, and removed if
that is wanted and a command makes it again. What a person typed is never removed.

Comes in: the folder of a run, of `primaps predict` or of a model.
Goes out: a `Verdict`: faults, what removes them, which command makes what again.
Open first: `folder`, then `images` and `records`.
"""

from primaps.pipeline.verifying.folder import verify
from primaps.pipeline.verifying.verdict import Fault, Verdict

__all__ = ["Fault", "Verdict", "verify"]
