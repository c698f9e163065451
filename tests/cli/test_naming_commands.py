import json

import pytest

from primaps.outputs.suggestion_table import SuggestionRow, read_table, write_table


@pytest.fixture(scope="module")
def finished(tmp_path_factory, run, fast):
    """A run over three drawn photographs."""
    import numpy as np
    from PIL import Image

    root = tmp_path_factory.mktemp("named")
    (root / "photos").mkdir()
    for seed in range(3):
        noise = np.random.default_rng(seed).normal(scale=8, size=(48, 64, 3))
        image = np.full((48, 64, 3), (120, 170, 230)) + noise
        image[24 + 2 * seed :] += (-50, -50, -180)
        image[:, 44 + 3 * seed :] += (80, -130, -60)
        photo = image.clip(0, 255).astype(np.uint8)
        Image.fromarray(photo).save(root / "photos" / f"{seed}.png")
    options = ("--backbone", "texture", "--out", root / "run")
    result = run("segment", root / "photos", *options, *fast)
    assert result.exit_code == 0, result.stderr
    return root / "run"


def fill(folder, *names):
    table = folder / "suggestions.csv"
    rows = read_table(table.read_bytes(), "")
    table.write_bytes(
        write_table(
            [
                SuggestionRow(row.image, row.proposal, names[number % len(names)])
                for number, row in enumerate(rows)
            ]
        )
    )


def test_suggest_fill_in_fit_and_accept(finished, run, text):
    result = run("suggest", finished, "--groups", 3, "--uncertain", 1)
    assert result.exit_code == 0, result.stderr
    assert "(4 rows, 0 named)" in text(result)
    fill(finished, "sky", "ground")
    result = run("suggest", finished, "--read")
    assert result.exit_code == 0, result.stderr
    assert "4 proposals named" in result.stdout
    assert "New classes: sky, ground." in result.stdout
    result = run("fit", finished, "--with", "names")
    assert result.exit_code == 0, result.stderr
    assert "Candidate 1:" in result.stdout
    assert "(2 classes, 4 clicks)" in text(result)
    result = run("accept", finished, "1")
    assert result.exit_code == 0, result.stderr
    record = json.loads((finished / "run.json").read_text("utf-8"))
    assert record["named"] == {"classes": ["sky", "ground"], "clicks": 4, "candidate": 1}
    result = run("accept", finished, "--back")
    assert result.exit_code == 0, result.stderr
    assert "Candidate 1 is taken back." in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("suggest", "--read", "--groups", "3"), "Expected --read alone"),
        (("fit", "--with", "name"), "Expected --with names, but got 'name'"),
        (("fit", "--with", "names", "--classes", "3", "--seed", "1"), "without --classes, --seed"),
        (("accept",), "either the number of a candidate or --back"),
        (("accept", "1", "--back"), "either the number of a candidate or --back"),
    ],
)
def test_what_does_not_go_together_is_refused(finished, run, text, arguments, message):
    command, *options = arguments
    result = run(command, finished, *options)
    assert result.exit_code == 2
    assert message in text(result)
