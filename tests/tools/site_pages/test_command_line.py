"""Every command in the reference, as its help page has it."""

import re

from primaps.cli.help_pages import EXAMPLES


def test_every_command_is_there_with_its_examples(site_pages):
    text = site_pages("command_line").command_line()
    assert set(re.findall(r"^## primaps (.+)$", text, re.MULTILINE)) == set(EXAMPLES)
    for examples in EXAMPLES.values():
        for example in examples:
            assert f"\n{example}\n" in text


def test_arguments_and_options_of_a_command(site_pages):
    text = site_pages("command_line").command_line()
    section = text.split("## primaps segment\n")[1].split("\n## ")[0]
    assert "| `IMAGES` | Files, folders (recursive) or glob patterns." in section
    assert "| `--classes K|auto` | Number of classes to find" in section
    assert "--no-crf" in section
