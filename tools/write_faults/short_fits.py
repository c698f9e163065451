"""Fits of few steps, so that a run of the main job lasts as long in its other stages."""

from __future__ import annotations

import dataclasses


def shorten_fits(steps: int) -> None:
    """Let every preset fit with so many steps, with a checkpoint half way, in this process and
    those forked from it.
    """
    from primaps.config import Config
    from primaps.pipeline import settings

    usual = settings.preset_config

    def shorter(preset: str) -> Config:
        config = usual(preset)
        few = {"min_steps": steps, "max_steps": steps, "checkpoint_every": steps // 2}
        return dataclasses.replace(config, fit=dataclasses.replace(config.fit, **few))

    settings.preset_config = shorter
