import datetime as dt

import pytest

SCRIPT = """
import json, sys
from pathlib import Path
rows = [{"what": "thing", "measured": sys.argv[1], "bar": "at least 5 x", "holds": False}]
Path(sys.argv[sys.argv.index("--rows") + 1]).write_text(json.dumps(rows))
"""


def test_parts_are_chosen_by_name(capsys):
    from run_all import PARTS, parse

    assert parse([]).only == list(PARTS)
    assert parse(["--only", "crf,em"]).only == ["crf", "em"]
    with pytest.raises(SystemExit):
        parse(["--only", "crf,speed"])
    assert "but got speed" in capsys.readouterr().err


def test_every_part_is_a_script_of_this_folder():
    from run_all import HERE, PARTS, QUICK

    assert set(PARTS) == set(QUICK)
    assert [name for name in PARTS if not (HERE / f"{name}.py").exists()] == []


def test_rows_of_a_part_are_collected_with_its_own_cost(tmp_path, monkeypatch):
    import run_all

    (tmp_path / "crf.py").write_text(SCRIPT)
    monkeypatch.setattr(run_all, "HERE", tmp_path)
    row, cost = run_all.run_part("crf", ["3.00 x"])
    assert (row.what, row.measured, row.holds) == ("thing", "3.00 x", False)
    assert "peak memory" in cost.measured


def test_sections_are_appended_with_date_and_machine(tmp_path):
    from rows import Row
    from run_all import append, entry

    now = dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC)
    section = entry([Row("a", "1 s", "at most 2 s", True)], ["crf"], 1.5, "two cores", now)
    assert section.startswith("## 2026-01-02 03:04 UTC\n")
    assert "All bars of these parts held." in section
    assert "two cores" in section
    missed = entry([Row("a", "3 s", "at most 2 s", False)], ["crf"], 1.5, "two cores", now)
    assert "1 bars missed." in missed
    for text in (section, missed):
        append(tmp_path / "RESULTS.md", text)
    written = (tmp_path / "RESULTS.md").read_text()
    assert written.startswith("# Benchmark results\n")
    assert written.index("All bars of these") < written.index("1 bars missed")
