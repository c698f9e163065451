"""Every setting in the reference, with its values and the option that sets it."""

import dataclasses

import pytest

from primaps.config import CRFConfig


def row(text, part, name):
    section = text.split(f"## {part}\n")[1].split("\n## ")[0]
    (found,) = [line for line in section.splitlines() if line.startswith(f"| `{name}` |")]
    return found


def test_values_of_presets_are_told_apart_where_they_differ(site_pages):
    text = site_pages("settings_table").settings()
    told = "| default:&nbsp;`true`<br>paper:&nbsp;`true`<br>fast:&nbsp;`false` |"
    assert told in row(text, "predict", "crf")
    assert "| `0` |" in row(text, "proposals", "min_area")
    assert "one of em, clusters, baseline" in row(text, "fit", "method")
    for each in dataclasses.fields(CRFConfig):
        assert row(text, "proposals.crf", each.name)


@pytest.mark.parametrize(
    ("part", "name", "option"),
    [
        ("All", "num_clusters", "--classes"),
        ("inputs", "value_range", "--range"),
        ("predict", "crf", "--crf/--no-crf"),
    ],
)
def test_options(site_pages, part, name, option):
    text = site_pages("settings_table").settings()
    assert row(text, part, name).endswith(f"Option: `{option}`. |")


def test_a_setting_without_a_meaning_is_refused(site_pages):
    @dataclasses.dataclass
    class Part:
        """A part.

        Attributes:
            one: Something
                long.
        """

        one: int
        two: int

    with pytest.raises(ValueError, match=r"Part to say what its fields mean, but .'two'. are not"):
        site_pages("settings_table").meanings(Part)
