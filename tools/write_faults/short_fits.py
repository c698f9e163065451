"""Fits of few steps, so that a run of the main job lasts as long in its other stages."""

from __future__ import annotations

import dataclasses


def shorten_fits(steps: int) -> None:
    """Let every preset fit with so many steps, with a checkpoint half way, in this process and
    those forked from it.
    """
    from primaps import config
    from primaps.pipeline import settings

    usual = config.preset_config

    def shorter(preset: str) -> config.Config:
        made = usual(preset)
        fit = dataclasses.replace(
            made.fit, min_steps=steps, max_steps=steps, checkpoint_every=steps // 2
        )
        return dataclasses.replace(made, fit=fit)

    setattr(settings, "preset_config", shorter)  # noqa: B010 - the name that the command line calls
