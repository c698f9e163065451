"""The code of the pages that a reader can paste: run in order, each page in a folder of its own."""

import contextlib
import io
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from primaps import extensions
from primaps.cli.app import app
from primaps.config import preset_config, with_settings
from primaps.data import dataset
from primaps.features import registry
from primaps.features.registry import find_spec
from primaps.heads.loading import load_backbone
from primaps.outputs.export import registry as exports
from primaps.pipeline import open_run, segment
from primaps.prototypes.clusters import ProposalMeans
from primaps.prototypes.proposal_em import proposal_loss, responsibilities

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"(<!-- not run: [^>]+-->\n)?```(python|sh|toml|yaml)\n(.*?)```", re.DOTALL)


def blocks(page, kind="python"):
    """The blocks of a kind that are run."""
    found = BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    return [code for skipped, what, code in found if what == kind and not skipped]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A home with photographs, and a folder with ``street.jpg`` and a run."""
    home = tmp_path_factory.mktemp("home")
    (home / "photos").mkdir()
    drawn = np.random.default_rng(0)
    for number in range(4):
        picture = np.full((96, 128, 3), (40, 90, 200), np.uint8)
        picture[48:] = (90, 140, 60)
        picture[20:70, 20 + 20 * number : 60 + 20 * number] = (200, 60, 40)
        noisy = picture + drawn.normal(0, 10, picture.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(home / "photos" / f"{number}.jpg")
    here = home / "here"
    here.mkdir()
    shutil.copy(home / "photos" / "0.jpg", here / "street.jpg")
    config = with_settings(preset_config("fast"), {"num_clusters": 3, "features.size": 64})
    inputs = [str(home / "photos")]
    segment(
        open_run(inputs, here / "run", load_backbone("texture", device="cpu"), config),
        inputs=inputs,
    )
    return home


@pytest.fixture
def here(prepared, tmp_path, monkeypatch):
    """A copy of that folder to work in."""
    shutil.copytree(prepared / "here", tmp_path / "here")
    monkeypatch.setenv("HOME", str(prepared))
    monkeypatch.setenv("USERPROFILE", str(prepared))
    monkeypatch.chdir(tmp_path / "here")
    for table in (registry, dataset, exports):
        monkeypatch.setattr(table, "_REGISTERED", {})
    extensions.load_extensions.cache_clear()
    yield tmp_path / "here"
    extensions.load_extensions.cache_clear()


def run_in_order(page):
    """All python and sh blocks of a page, in one session; what they leave behind, and print."""
    names, printed = {"__name__": "__main__"}, io.StringIO()
    text = (DOCS / page).read_text(encoding="utf-8")
    for skipped, kind, code in BLOCK.findall(text):
        if skipped or kind not in {"python", "sh"}:
            continue
        if kind == "sh":
            for line in code.strip().splitlines():
                words = shlex.split(line, comments=True)
                assert words[0] == "primaps"
                result = CliRunner().invoke(app, words[1:])
                assert result.exit_code == 0, result.output
        else:
            with contextlib.redirect_stdout(printed):
                exec(compile(code, page, "exec"), names)
    return names, printed.getvalue()


def test_add_a_backbone(here):
    names, printed = run_in_order("how-to/add-a-backbone.md")
    assert "'convnext_tiny', 'mine'" not in printed  # listed before `mine` was there
    assert "'convnext_tiny'" in printed
    assert "(96, 128)" in printed
    features = names["backbone"].extract("street.jpg", size=64)
    assert features.shape[0] == 64
    assert names["again"].backbone.describe()["implementation"] == "mine"


def test_a_model_of_timm_with_a_name_is_loaded(here):
    import timm
    from safetensors.torch import save_file

    exec(blocks("how-to/add-a-backbone.md")[0], {})
    model = timm.create_model("convnext_tiny", num_classes=0)
    save_file(model.state_dict(), "convnext.safetensors")
    backbone = load_backbone("convnext_tiny", weights="convnext.safetensors", device="cpu")
    assert (backbone.threshold, backbone.patch_size) == (0.5, 8)
    assert backbone.extract("street.jpg", size=64).shape == (192 + 384 + 768, 8, 12)


def test_the_package_of_the_page_is_found_on_the_command_line(here, tmp_path, monkeypatch):
    page = "how-to/add-a-backbone.md"
    (settings,) = blocks(page, "toml")
    group, module = re.search(r'entry-points\."(.+)"\]\nmine = "(\w+)"', settings).groups()
    code = "import primaps as pm\nfrom primaps.features.registry import *\n"
    own = [block for block in blocks(page) if "pm." not in block]
    (tmp_path / f"{module}.py").write_text(code + "\n".join(own), encoding="utf-8")
    (tmp_path / "my_backbone-1.0.dist-info").mkdir()
    information = tmp_path / "my_backbone-1.0.dist-info"
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: my-backbone\nVersion: 1.0\n"
    )
    (information / "entry_points.txt").write_text(f"[{group}]\nmine = {module}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert " mine " in CliRunner().invoke(app, ["list"]).output
    given = ["segment", str(Path("~/photos").expanduser()), "--backbone", "mine", "--classes", "2"]
    given += ["--weights", "mine.safetensors", "--out", "run-mine", "--size", "64"]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.output
    assert find_spec("mine").implementation == "mine"


def test_add_an_export(here):
    _, printed = run_in_order("how-to/add-an-export.md")
    header, *rows = (here / "shares" / "shares.csv").read_text(encoding="utf-8").splitlines()
    assert header == "image,class 0,class 1,class 2"
    assert [row.split(",")[0] for row in rows] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert "4 photographs" in printed
    result = CliRunner().invoke(app, ["export", "run", "--format", "shares", "--out", "more"])
    assert result.exit_code == 0, result.output


def test_add_a_data_set(here):
    _, printed = run_in_order("how-to/add-a-data-set.md")
    assert "3 photographs" in printed
    assert "(96, 128, 3) (96, 128)" in printed
    assert " ponds " in CliRunner().invoke(app, ["list"]).output
    given = ["evaluate", "--model", "run-ponds", "--dataset", "ponds", "--root", "ponds"]
    result = CliRunner().invoke(app, [*given, "--split", "val"])
    assert result.exit_code == 0, result.output
    refused = CliRunner().invoke(app, [*given, "--split", "nowhere"])
    assert "It has the splits" in refused.output


def test_em_in_ten_minutes(here):
    names, _ = run_in_order("understand/em-in-ten-minutes.md")
    assert len(names["losses"]) + 1 == len(names["path"]) == 151
    assert len(names["classes"]) == len(names["means"]) >= 4
    assert names["labels"].shape == (96, 128)
    proposals = ProposalMeans(
        names["means"], names["areas"], torch.tensor(1.0, dtype=torch.float64), names["tokens"]
    )
    unit = torch.nn.functional.normalize
    teacher = names["scale"] * unit(names["path"][0], dim=1)
    shares = responsibilities(teacher, proposals, soft=True)
    loss = proposal_loss(teacher, proposals, shares, gamma=2.0, proposal_weight=1.0)
    assert float(loss) == pytest.approx(names["losses"][0], rel=1e-5)
