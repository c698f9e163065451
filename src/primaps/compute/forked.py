"""Worker processes that were forked after torch had begun to compute: its threads did not come
along, and whatever waits for them waits for ever.
"""

from __future__ import annotations

import os

import torch

from primaps.errors import ProcessError

_state = {"worked": False, "forked": False}


def _after_fork() -> None:
    _state["forked"] = _state["worked"]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def check_fork() -> None:
    """Refuse to compute with several threads in a process that was forked from one that did; called
    before work with torch.

    Raises:
        ProcessError: If this is such a process.
    """
    if _state["forked"] and torch.get_num_threads() > 1:
        raise ProcessError(
            "Expected a process that was started anew, but this one was forked from one in which"
            " torch had computed with several threads, and would wait for them for ever. Make the"
            " pool with multiprocessing.get_context('spawn'), or call torch.set_num_threads(1) in"
            " each worker first."
        )
    _state["worked"] = True
