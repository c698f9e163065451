"""Options from a file."""

import json

import pytest

from primaps.runs.store import read_json


@pytest.fixture
def at_work(run, photographs, tmp_path):
    def segment(*options):
        result = run("segment", photographs, "--out", tmp_path / "run", *options)
        return result, tmp_path / "run" / "run.json"

    return segment


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "a.yaml",
            "classes: 4\nsize: 64\npreset: fast\nmin-area: 3\nstore: none\nfit: {momentum: 0.9}\n",
        ),
        (
            "a.toml",
            'classes=4\nsize=64\npreset="fast"\nmin_area=3\nstore="none"\n[fit]\nmomentum=0.9\n',
        ),
    ],
)
def test_a_file_holds_options_and_settings_and_the_command_line_wins(at_work, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    result, record = at_work("--config", tmp_path / name, "--classes", "3")
    assert result.exit_code == 0, result.output
    config = read_json(record)["config"]
    assert (config["num_clusters"], config["preset"], config["features"]["size"]) == (3, "fast", 64)
    assert (config["proposals"]["min_area"], config["fit"]["momentum"]) == (3, 0.9)
    assert config["store"] == "none"


def test_the_record_of_a_run_repeats_it(at_work, run, photographs, tmp_path, fast):
    result, record = at_work(
        *(*fast, "--backbone", "texture", "--method", "clusters", "--seed", "7"),
        *("--store", "light"),
    )
    assert result.exit_code == 0, result.output
    again = run("segment", photographs, "--out", tmp_path / "again", "--config", record)
    assert again.exit_code == 0, again.output
    new = read_json(tmp_path / "again" / "run.json")
    assert new["config"] == read_json(record)["config"]
    assert new["config"]["store"] == "light"
    assert new["settings"]["backbone"]["name"] == "texture"
    model = "model/prototypes.safetensors"
    assert (tmp_path / "again" / model).read_bytes() == (tmp_path / "run" / model).read_bytes()
    other = run(
        *("segment", photographs, "--out", tmp_path / "other", "--config", record),
        *("--method", "baseline"),
    )
    assert other.exit_code == 0, other.output
    fitted = run("fit", tmp_path / "run", "--config", record, "--model", tmp_path / "model")
    assert fitted.exit_code == 0, fitted.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clases: 4", "no option 'clases' here. Did you mean 'classes'"),
        ("fit: {momentun: 1}", "Unknown setting 'fit.momentun'. Did you mean 'momentum'"),
        ("classes: many", "--classes to be auto, or a whole number"),
        ("- 1", "names and values"),
        ("a: [", "Expected options in"),
        ("config: x.yaml", "no option 'config'"),
    ],
)
def test_mistakes_are_named(at_work, text, tmp_path, message):
    (tmp_path / "a.yaml").write_text(text)
    result, record = at_work("--config", tmp_path / "a.yaml")
    assert result.exit_code == 2
    words = " ".join((result.stdout + result.stderr).replace("│", " ").split())
    assert message in words
    assert not record.exists()


def test_settings_of_another_command_are_refused(run, photographs, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"fit": {"momentum": 0.5}}))
    result = run(
        "proposals", photographs, "--out", tmp_path / "run", "--config", tmp_path / "a.json"
    )
    assert result.exit_code == 2
    assert "fit.momentum" in result.stderr
    assert run("segment", photographs, "--config", tmp_path / "none.yaml").exit_code == 2
