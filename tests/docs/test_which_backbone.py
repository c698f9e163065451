"""The table of docs/start/which-backbone.md says what the registry says."""

import re
from pathlib import Path

import pytest

from primaps.features.registry import DEFAULT_BACKBONE, list_backbones

PAGE = Path(__file__).parents[2] / "docs" / "start" / "which-backbone.md"
TEXT = PAGE.read_text(encoding="utf-8")
SPECS = {spec.name: spec for spec in list_backbones()}


def rows():
    """Cells of the table of all names, by name."""
    section = TEXT.split("\n## All backbones\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_every_name_is_there_in_the_order_of_the_list():
    assert list(rows()) == [*SPECS, "timm:NAME"]


@pytest.mark.parametrize("name", SPECS)
def test_a_row_says_what_the_registry_says(name):
    spec, (training, licence, size, grid, threshold, weights) = SPECS[name], rows()[name]
    assert training == spec.training
    linked = re.fullmatch(r"\[(.+)\]\((.+)\)", licence)
    assert (f"{linked[1]} ({linked[2]})" if linked else licence) == spec.licence
    assert grid == f"{spec.dim} / {spec.patch_size}"
    assert threshold == str(spec.threshold)
    if spec.package is not None:
        expected = f"extra `{spec.package.extra}`" if spec.package.extra else "installed"
    elif spec.hub:
        expected = "download"
    else:
        expected = "`--weights FILE`" if spec.needs_download else "inside the package"
    assert weights == expected
    if spec.timm_name and spec.package is None:
        assert size == f"{parameters(spec.timm_name) / 1e6:.1f}"


def parameters(timm_name):
    """As the command below the table counts them."""
    import timm
    import torch

    with torch.device("meta"):
        model = timm.create_model(timm_name, num_classes=0)
    return sum(each.numel() for each in model.parameters())


def test_names_in_the_text_exist():
    listed = set(re.findall(r"`(?:--backbone )?((?:dino|efficientnet|mini|texture)\w*)`", TEXT))
    assert listed - {"dino_"} <= set(SPECS)
    assert f"`{DEFAULT_BACKBONE}`, the default" in TEXT
