"""Every command with its arguments, options and examples, as its ``--help`` says them."""

from __future__ import annotations

from collections.abc import Iterator

import typer
from typer.core import TyperGroup

from primaps.cli.app import app
from site_pages.marked import code, escaped, table


def commands() -> Iterator[tuple[str, typer.Context]]:
    """All commands, in the order of the help, with all their words: ``head stego fit``."""
    root = typer.main.get_group(app)
    yield from _below(root, "", typer.Context(root, info_name="primaps"))


def _below(
    group: TyperGroup, words: str, parent: typer.Context
) -> Iterator[tuple[str, typer.Context]]:
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        if command is None:
            continue
        context = typer.Context(command, info_name=name, parent=parent)
        named = f"{words} {name}".strip()
        if isinstance(command, TyperGroup):
            yield from _below(command, named, context)
        else:
            yield named, context


def command_line() -> str:
    """Markdown: a heading per command."""
    return "\n\n".join(_section(words, context) for words, context in commands())


def _section(words: str, context: typer.Context) -> str:
    command = context.command
    text = command.help or ""
    usage = " ".join(["primaps", words, *command.collect_usage_pieces(context)])
    parts = [f"## primaps {words}"]
    parts += [escaped(paragraph) for paragraph in text.split("\n\n")]
    parts += [f"```text\n{usage}\n```"]
    records = [
        (code(names.removesuffix(" <list[str]>")), escaped(help_text))
        for each in command.get_params(context)
        if (record := each.get_help_record(context)) is not None
        for names, help_text in [record]
    ]
    parts.append(table(("Option", "What it says"), records))
    examples = (command.epilog or "").split("\n\n")[1:]
    parts.append("```text\n" + "\n".join(examples) + "\n```")
    return "\n\n".join(parts)
