def test_bars_are_held_from_both_sides():
    from rows import at_least, at_most

    assert [at_least("a", value, 5.0).holds for value in (4.99, 5.0, 5.01)] == [False, True, True]
    assert [at_most("a", value, 1.1).holds for value in (1.09, 1.1, 1.11)] == [True, True, False]
    assert at_least("a", 9.4, 5.0, " (130 ms)").measured == "9.40 x (130 ms)"


def test_table_has_a_line_per_row_and_marks_what_is_missed():
    from rows import Row, at_most, table

    lines = table([Row("plain", "1 s"), at_most("time", 12.0, 10.5)]).splitlines()
    assert lines[2:] == ["| plain | 1 s |  |  |", "| time | 12.00 x | at most 10.5 x | **no** |"]


def test_rows_survive_the_file(tmp_path, capsys):
    from rows import Row, at_least, publish, read_rows

    rows = [Row("plain", "1 s"), at_least("ratio", 2.0, 1.8)]
    publish(rows, tmp_path / "rows.json")
    assert read_rows(tmp_path / "rows.json") == rows
    assert "| ratio | 2.00 x | at least 1.8 x | yes |" in capsys.readouterr().out


def test_machine_is_described_in_words():
    from rows import machine

    assert "cores" in machine()
    assert "Python 3." in machine()
