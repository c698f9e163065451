import shutil

import pytest


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """A model of four clusters, made without a fit."""
    import torch

    from primaps.runs.model import Model
    from primaps.types import FitResult

    folder = tmp_path_factory.mktemp("model")
    prototypes = torch.eye(4)
    fit = FitResult(
        prototypes, prototypes.clone(), cosine=False, usage=torch.ones(4, dtype=torch.int64)
    )
    Model(fit, {"name": "texture"}, None, 64, {}, "abc").save(folder)
    return folder


@pytest.fixture
def folder(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "my")


def columns(result):
    """Words of each line of the table, by id."""
    lines = [line.split() for line in result.stdout.splitlines()[1:]]
    return {line[0]: line[1:] for line in lines if line[0].isdecimal()}


def test_the_table_is_shown_and_the_file_made(run, folder):
    result = run("classes", folder)
    assert result.exit_code == 0, result.stderr
    assert columns(result)["3"] == ["-", "#2eb872", "3", "-", "-", "0"]
    assert (folder / "classes.yaml").exists()


def test_everything_at_once(run, folder):
    options = ("--from", "camvid", "--merge", "1, 2=building", "--name", "3=road", "--ignore", "0")
    result = run("classes", folder, *options, "--colour", "road=#010203")
    assert result.exit_code == 0, result.stderr
    table = columns(result)
    assert ["building", "#800000", "1,2", "-", "-", "0"] in table.values()
    assert ["road", "#010203", "3", "-", "-", "0"] in table.values()
    assert table["0"][:2] == ["-", "(ignored)"]
    again = columns(run("classes", folder, "--unignore", "0", "--name", "road="))
    assert again["0"][0] == "-"
    assert ["road", "#010203", "3", "-", "-", "0"] not in again.values()
    reset = run("classes", folder, "--reset")
    assert len(columns(reset)) == 4
    assert "building" not in reset.stdout


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--name", "road", "--name 3=road"),
        ("--name", "=road", "--name 3=road"),
        ("--name", "9=road", "no class 9"),
        ("--merge", "1,2=", "Expected a name"),
        ("--colour", "1=red", "six hexadecimal"),
        ("--cut", "5", "at most 4 classes"),
        ("--from", "camvit", "Did you mean 'camvid'"),
        ("--ignore", "rode", "Expected the id or name"),
    ],
)
def test_mistakes_are_told_and_change_nothing(run, folder, option, value, message):
    run("classes", folder, "--name", "0=sky")
    before = (folder / "classes.yaml").read_bytes()
    result = run("classes", folder, option, value)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert (folder / "classes.yaml").read_bytes() == before


def test_a_cut_goes_coarse_and_fine(run, folder):
    table = run("classes", folder)
    assert "--cut 2 " in table.stdout
    assert len(columns(run("classes", folder, "--cut", "2"))) == 2
    assert len(columns(run("classes", folder, "--cut", "4"))) == 4
    named = columns(run("classes", folder, "--cut", "3", "--name", "0=sky"))
    assert (len(named), named["0"][0]) == (3, "sky")


def test_a_folder_of_something_else_is_told(run, tmp_path):
    result = run("classes", tmp_path)
    assert result.exit_code == 2
    assert "neither run.json nor model.json" in " ".join(result.stderr.split())
