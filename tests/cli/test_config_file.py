"""Options from a file."""

import json
from pathlib import Path

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
        ("fit: {momentum: fast}", "Expected fit.momentum to be a number, but got 'fast'"),
        ("fit: {epochs: 2.5}", "Expected fit.epochs to be a whole number, but got 2.5"),
        ("fit: {soft_votes: 1}", "Expected fit.soft_votes to be true or false, but got 1"),
        ("fit: {em_on: proposal}", "Did you mean 'proposals'"),
        ("seed: true", "expected --seed to have a value, but got true"),
        ("size: 64\nsize: 65", "Expected options in"),
        ("fit: [1]", "no option 'fit'"),
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


OLD = Path(__file__).parents[1] / "pipeline" / "generation_1.json"


def test_the_record_of_an_earlier_version_is_a_file_of_options(at_work, tmp_path):
    record = json.loads(OLD.read_text())["record"]
    (tmp_path / "run.json").write_text(json.dumps(record))
    result, new = at_work("--config", tmp_path / "run.json", "--backbone", "texture")
    assert result.exit_code == 0, result.output
    config = read_json(new)["config"]
    old = record["config"]
    assert (config["num_clusters"], config["seed"]) == (old["num_clusters"], old["seed"])
    assert config["proposals"]["min_area"] == old["proposals"]["min_area"]


def test_records_of_predict_and_fit_are_files_of_options(at_work, run, photographs, tmp_path, fast):
    result, record = at_work(*fast, "--backbone", "texture")
    assert result.exit_code == 0, result.output
    asked = ("predict", photographs, "--model", tmp_path / "run")
    assert run(*asked, "--out", tmp_path / "new", "--crf").exit_code == 0
    of_predict = tmp_path / "new" / "run.json"
    again = run(*asked, "--out", tmp_path / "again", "--config", of_predict)
    assert again.exit_code == 0, again.output
    assert read_json(tmp_path / "again" / "run.json")["config"]["predict"]["crf"] is True
    segmented = run("segment", photographs, "--out", tmp_path / "s", "--config", of_predict)
    assert segmented.exit_code == 0, segmented.output
    fitted = run("fit", tmp_path / "run", "--classes", "4", "--overwrite")
    assert fitted.exit_code == 0, fitted.output
    refitted = run("segment", photographs, "--out", tmp_path / "t", "--config", record)
    assert refitted.exit_code == 0, refitted.output
    assert read_json(tmp_path / "t" / "run.json")["config"]["num_clusters"] == 4


@pytest.mark.parametrize("name", ["weights", "head"])
def test_paths_of_another_machine_are_named(at_work, tmp_path, fast, text, name):
    result, record = at_work(*fast, "--backbone", "mini")
    assert result.exit_code == 0, result.output
    known = read_json(record)
    elsewhere = tmp_path / "other.json"
    elsewhere.write_text(json.dumps({**known, name: "/elsewhere/of-another"}))
    refused, _ = at_work("--config", elsewhere)
    assert refused.exit_code == 2
    assert "/elsewhere/of-another" in text(refused)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", "classes: " + "[" * 2000, "Expected options in"),
        ("a.json", "[" * 100_000, "Expected options in"),
        ("a.toml", "a = " + "[" * 5000, "Expected options in"),
        ("a.yaml", "fit: {momentums: 1}", "Unknown setting 'fit.momentums'"),
        ("a.yaml", "fit: {batch_size: many}", "Expected fit.batch_size to be a whole number"),
        ("a.yaml", "fit: {batch_size: true}", "Expected fit.batch_size to be a whole number"),
        ("a.yaml", "x: !!python/name:os.system", "Expected options in"),
        ("a.json", '{"format": 1, "config": {}, "settings": "x"}', "expected settings by stage"),
        ("a.json", '{"format": 1, "config": {}, "settings": {"backbone": "x"}}', "by stage"),
        ("a.yaml", "classes: {a: {b: 0}}", "expected --classes to have one value"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_name(at_work, tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    result, _ = at_work("--config", tmp_path / name)
    assert result.exit_code == 2
    told = "".join(result.output.replace("│", "").split())  # wherever the lines of the box end
    assert "".join(words.split()) in told
    assert name in told
