"""Every setting with its type, its value in each preset and its meaning, from `primaps.config`."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Iterator
from typing import Any, get_type_hints

from primaps.cli.given import SETTINGS
from primaps.config import PRESETS, Config, in_words, preset_config
from site_pages.command_line import commands
from site_pages.marked import code, escaped, table

_ENTRY = re.compile(r"^    (\w+): (.*?)(?=^    \w+: |^\S|\Z)", re.MULTILINE | re.DOTALL)


def meanings(kind: type) -> dict[str, str]:
    """What a dataclass's docstring says of its fields.

    Raises:
        ValueError: If it leaves a field out.
    """
    text = inspect.getdoc(kind) or ""
    found = dict(_ENTRY.findall(text.partition("Attributes:\n")[2]))
    missing = {each.name for each in dataclasses.fields(kind)} - set(found)
    if missing:
        raise ValueError(
            f"Expected {kind.__name__} to say what its fields mean, but {sorted(missing)} are not"
            " among its Attributes."
        )
    return found


def leaves(part: Any, path: str = "") -> Iterator[tuple[str, str, Any, str]]:
    """Full name, type, value and meaning of every setting of a configuration."""
    known, hints = meanings(type(part)), get_type_hints(type(part))
    for each in dataclasses.fields(part):
        value, name = getattr(part, each.name), f"{path}{each.name}"
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{name}.")
        else:
            yield name, in_words(hints[each.name]), value, known[each.name]


def options() -> dict[str, str]:
    """The option that sets a setting, by the setting's full name, as the first command that has it
    spells it.
    """
    found: dict[str, str] = {}
    for _, context in commands():
        for each in context.command.params:
            if each.name in SETTINGS:
                words = "/".join((*each.opts, *each.secondary_opts))
                found.setdefault(SETTINGS[each.name], words)
    return found


def settings() -> str:
    """Markdown: a section with a table per part of the configuration."""
    presets = [{name: value for name, _, value, _ in leaves(preset_config(one))} for one in PRESETS]
    known = options()
    rows: dict[str, list[tuple[str, ...]]] = {}
    for name, kind, _, meaning in leaves(Config()):
        part, _, short = name.rpartition(".")
        values = [_shown(preset[name]) for preset in presets]
        same = len(set(values)) == 1
        shown = values[0] if same else "<br>".join(map("{}:&nbsp;{}".format, PRESETS, values))
        told = escaped(meaning) + (f" Option: {code(known[name])}." if name in known else "")
        rows.setdefault(part, []).append((code(short), escaped(kind), shown, told))
    header = ("Setting", "Type", "Value", "What it is")
    return "\n\n".join(
        f"## {part or 'All'}\n\n{table(header, lines)}" for part, lines in rows.items()
    )


def _shown(value: Any) -> str:
    """A value as a file for ``--config`` may have it."""
    return code(json.dumps(value))
