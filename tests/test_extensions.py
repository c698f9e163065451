"""What other packages bring along, as a package on the path that names its module."""

import re

import pytest

from primaps import extensions
from primaps.cli.inventory import inventory
from primaps.data import dataset
from primaps.data.about import About, Split
from primaps.data.paired import PairedDataset, pair_files
from primaps.errors import BackboneError, ConfigError, DatasetError
from primaps.features import registry
from primaps.features.registry import BackboneSpec, find_spec, register_backbone
from primaps.outputs.export import registry as exports

MODULE = """
from primaps.data.about import About
from primaps.data.dataset import register_dataset
from primaps.features.registry import BackboneSpec, register_backbone
from primaps.outputs.export.registry import register_export

class Lines:
    passes = 1

register_backbone(
    BackboneSpec("lined", 3, 8, "MIT", "stripes", "no label ever seen", hub=False), lambda *_: None
)
register_dataset("lined", About("Lined, 2 classes", (), "", "", ""), lambda root, split: None)
register_export("lined", Lines)
"""


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch):
    for table in (registry, dataset, exports):
        monkeypatch.setattr(table, "_REGISTERED", {})
    extensions.load_extensions.cache_clear()
    yield
    extensions.load_extensions.cache_clear()


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """``installed(module)``: a package with an entry point is on the path."""

    def install(name, code):
        (tmp_path / f"{name}.py").write_text(code)
        information = tmp_path / f"{name}-1.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (information / "entry_points.txt").write_text(f"[{extensions.GROUP}]\nours = {name}\n")
        monkeypatch.syspath_prepend(tmp_path)

    return install


def spec(name="mine", **changes):
    given = {"dim": 3, "patch_size": 8, "licence": "MIT", "source": "", "training": "", **changes}
    return BackboneSpec(name, **given)


def make(*_):
    raise NotImplementedError


def test_an_installed_package_is_found_by_its_entry_point(installed):
    installed("lined_for_primaps", MODULE)
    assert find_spec("lined").implementation == "lined"
    assert dataset.describe_dataset("lined").title == "Lined, 2 classes"
    assert exports.find_exporter("lined").passes == 1
    assert len(re.findall(r"^  lined ", inventory(), re.MULTILINE)) == 2


def test_names_of_this_package_do_not_import_others(installed):
    installed("broken_for_primaps", "import does_not_exist")
    assert find_spec("mini").name == "mini"
    dataset.dataset_module("camvid")
    exports.find_exporter("coco")


def test_a_package_that_cannot_be_imported_is_named(installed):
    installed("broken_for_primaps", "import does_not_exist")
    for look_up in (find_spec, dataset.describe_dataset, exports.find_exporter):
        with pytest.raises(ConfigError, match=r"'ours' of broken_for_primaps .*does_not_exist"):
            look_up("mine")


def test_unknown_names_suggest_registered_ones():
    register_backbone(spec(), make)
    with pytest.raises(BackboneError, match="Did you mean 'mine'"):
        find_spec("mime")


def test_a_model_of_timm_gets_a_name_a_threshold_and_a_licence():
    register_backbone(spec(timm_name="resnet18.a1_in1k", threshold=0.6))
    assert (find_spec("mine").implementation, find_spec("mine").threshold) == ("timm", 0.6)
    assert re.search("mine +[?] channels, stride  [?],", inventory())
    assert registry.registered_factory("mine") is None
    assert registry.registered_factory("mini") is None


def test_where_em_starts_is_known_of_registered_ones():
    register_backbone(spec(start="pca"), make)
    assert registry.start_for("mine") == "pca"


@pytest.mark.parametrize("name", ["mini", "timm:mine", "Mine", "../mine", "", 3])
def test_names_that_are_refused(name):
    with pytest.raises(ConfigError, match="Expected"):
        register_backbone(spec(name), make)


def test_neither_function_nor_model():
    with pytest.raises(ConfigError, match="neither"):
        register_backbone(spec())
    with pytest.raises(ConfigError, match="function or class"):
        register_backbone(spec(), "features:load")


def test_a_cell_may_run_twice_and_another_module_may_not_take_the_name():
    register_backbone(spec(), make)
    register_backbone(spec(threshold=0.7), make)
    assert find_spec("mine").threshold == 0.7

    def other():
        """Of another module."""

    other.__module__ = "somebody_else"
    with pytest.raises(ConfigError, match=r"registered by the module .*test_extensions already"):
        register_backbone(spec(), other)
    exports.register_export("mine", make)
    with pytest.raises(ConfigError, match="an export"):
        exports.register_export("mine", other)
    with pytest.raises(ConfigError, match="comes with primaps"):
        exports.register_export("onnx", make)


def test_a_data_set_is_loaded_if_it_is_complete(tmp_path):
    def survey(root, split):
        return PairedDataset(pair_files(root / split, root / f"{split}annot"), ("a", "b"), [])

    about = About("Mine, 2 classes", (Split("train"),), "", "", "", short="Mine")
    dataset.register_dataset("mine", about, survey)
    dataset.register_dataset("mine", about, survey)
    assert dataset.dataset_names()[-1] == "mine"
    assert dataset.dataset_title("mine") == "Mine"
    assert dataset.dataset_title("yours") == "yours"
    for folder in ("train", "trainannot"):
        (tmp_path / folder).mkdir()
    (tmp_path / "train" / "a.png").touch()
    with pytest.raises(DatasetError, match="complete"):
        dataset.load_dataset("mine", tmp_path, "train")
    (tmp_path / "trainannot" / "a.png").touch()
    assert len(dataset.load_dataset("mine", tmp_path, "train")) == 1
