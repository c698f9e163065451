"""Is what lies in a folder whole, and are the weights of a backbone what they should be? Nothing is
repaired here: what is torn is named, and removed if that is wanted and a command makes it again.
What a person typed is never removed.

Comes in: the folder of a run, of `primaps predict` or of a model; or the name of a backbone.
Goes out: a `Verdict`: faults, what removes them, which command makes what again; or the `Findings`
of a backbone.
Open first: `folder`, then `images` and `records`; `backbone`.
"""

from primaps.pipeline.verifying.backbone import verify_backbone
from primaps.pipeline.verifying.findings import Finding, Findings
from primaps.pipeline.verifying.folder import verify
from primaps.pipeline.verifying.verdict import Fault, Verdict

__all__ = ["Fault", "Finding", "Findings", "Verdict", "verify", "verify_backbone"]
