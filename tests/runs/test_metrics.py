import pytest

from primaps.runs.counting import Counters, StageCount
from primaps.runs.metrics import STATUSES, metrics_text

COUNTERS = Counters(
    images=12,
    failed=2,
    warned=1,
    stages={"fit: em": StageCount(150, 150, 0, 3.25), "proposals": StageCount(7, 9, 3, 1e-3)},
    bytes_written=123_456_789_012,
    peak_memory=1 << 31,
    resumes=3,
    stops=1,
)
ODD = 'a "b" \\c\nd ü \udcff'


def test_the_format_in_which_it_is_written():
    lines = metrics_text(COUNTERS, "/runs/x", "segment", "running").splitlines()
    assert lines[0] == "# HELP primaps_run_info The last command in the run folder."
    assert lines[1] == "# TYPE primaps_run_info gauge"
    assert 'primaps_images_failed{run="/runs/x"} 2.0' in lines
    assert 'primaps_stage_seconds{run="/runs/x",stage="fit: em"} 3.25' in lines
    assert 'primaps_written_bytes_total{run="/runs/x"} 123456789012.0' in lines


def test_another_parser_reads_the_same():
    parser = pytest.importorskip("prometheus_client.parser", reason="pip install primaps[test]")
    text = metrics_text(COUNTERS, ODD, "segment", "interrupted")
    assert text.endswith("\n")
    families = {each.name: each for each in parser.text_string_to_metric_families(text)}
    assert {each.type for each in families.values()} == {"gauge", "counter"}
    assert all(each.documentation for each in families.values())
    samples = [each for family in families.values() for each in family.samples]
    assert all(each.name.startswith("primaps_") for each in samples)
    folder = 'a "b" \\c\nd ü \\udcff'
    assert {each.labels["run"] for each in samples} == {folder}
    keys = [(each.name, tuple(sorted(each.labels.items()))) for each in samples]
    assert len(set(keys)) == len(keys)
    values = {each.name: each.value for each in samples if set(each.labels) == {"run"}}
    assert values["primaps_images"] == 12
    assert values["primaps_written_bytes_total"] == 123_456_789_012
    assert values["primaps_resumes_total"] == 3
    present = {each.labels["status"]: each.value for each in families["primaps_run_status"].samples}
    assert present == {status: float(status == "interrupted") for status in STATUSES}
    steps = {
        each.labels["stage"]: each.value for each in families["primaps_stage_steps_done"].samples
    }
    assert steps == {"fit: em": 150, "proposals": 7}
