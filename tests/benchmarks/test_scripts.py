"""Every benchmark builds its table, here from tiny inputs or from figures that are made up."""

import dataclasses
import json
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from primaps.config import preset_config


def test_crf_compares_implementations(monkeypatch):
    import crf

    monkeypatch.setattr(crf, "SIZE", 24)
    monkeypatch.setattr(crf, "COPIED_BYTES", 1 << 16)
    image = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    methods = {
        "compiled": crf.compiled,
        "torch": crf.plain_torch,
        "pydensecrf2": lambda _, probability: 1 - probability,
    }
    found = crf.compare(image, crf.smooth_probabilities(3), methods, turns=1)
    assert found.labels == 3
    assert found.equal["torch"] == 1.0
    assert set(found.ratios) == {"compiled", "torch"}
    held = {row.what.rpartition(" and ")[2]: row.holds for row in found.rows("here") if row.bar}
    assert held["torch"] is True
    assert held["pydensecrf2"] is False
    assert "GB/s" in crf.iteration_row(image, 1, "here").measured


@pytest.fixture
def half_white():
    """A drawn image of two halves, and features that tell them apart."""
    image = np.zeros((48, 48, 3), np.uint8)
    image[:, 24:] = 255
    features = 0.01 * torch.randn(8, 6, 6, generator=torch.Generator().manual_seed(0))
    features[0, :, :3] += 1
    features[1, :, 3:] += 1
    return image, features


def test_extraction_compares_with_the_official_operations(half_white):
    import extraction

    rows = extraction._compared([extraction.Sample("drawn", *half_white)], None, "fast", 1, "drawn")
    assert [row.what.rpartition(": ")[2] for row in rows] == ["pca", "no crf"]
    assert not any(row.bar for row in rows)  # without pydensecrf2 there is no whole to compare


def test_extraction_holds_the_whole_against_the_bar_of_the_preset(half_white):
    pytest.importorskip("pydensecrf")
    import extraction

    rows = extraction._compared(
        [extraction.Sample("drawn", *half_white)], extraction._pydensecrf(), "default", 1, "drawn"
    )
    assert [row.bar for row in rows] == ["", "", "at least 5 x"]


def test_scaling_compares_every_folder_with_the_next_smaller_one():
    from jobs import Usage
    from scaling import Measured, rows

    few = Measured(Usage(20.0, 30.0, 500.0, ""), {"proposals": 8.0, "fit": 10.0, "label maps": 2.0})
    many = Measured(
        Usage(110.0, 300.0, 600.0, ""), {"proposals": 80.0, "fit": 10.0, "label maps": 30.0}
    )
    time, memory, stages = rows({100: few, 1000: many})[2:]
    assert (time.measured, time.bar, time.holds) == ("10.00 x", "at most 10.5 x", True)
    assert (memory.measured, memory.holds) == ("1.20 x", False)
    assert (stages.measured, stages.holds) == ("11.00 x", False)


def test_stages_of_a_run_are_told_apart(tmp_path, capsys):
    import scaling
    from jobs import draw_photographs

    draw_photographs(tmp_path / "photographs", 2, 16, 24)
    config = preset_config("fast")
    short = dataclasses.replace(
        config, fit=dataclasses.replace(config.fit, min_steps=1, max_steps=2)
    )
    with mock.patch("primaps.config.preset_config", return_value=short):
        scaling.job(tmp_path / "photographs", tmp_path / "run", 16, "fast")
    seconds = json.loads(capsys.readouterr().out)
    assert list(seconds) == ["proposals", "fit", "label maps", "curves", "report"]
    assert all(spent > 0 for spent in seconds.values())


def test_image_size_has_a_row_per_preset_and_side():
    from image_size import measure

    rows = measure([32, 64], ["default", "fast"], turns=1)
    assert ["64 x 64" in row.what for row in rows] == [False, True, False, True]
    assert "4.0 x the pixels" in rows[1].measured


def test_cores_measures_both(monkeypatch, capsys):
    import cores

    monkeypatch.setattr(
        cores,
        "extraction_seconds",
        lambda _folder, _backbone, _size, name: {"0-1": 3.0, "0-2": 2.0}.get(name, 9.0),
    )
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(cores.os, "sched_setaffinity", lambda *_: None)
    threads = torch.get_num_threads()
    row = cores.measure(1, 16, turns=1, backbone_name="texture")
    torch.set_num_threads(threads)
    assert (row.measured.partition(":")[0], row.holds) == ("1.50 x", False)
    assert "turn 0, 2 cores: 2.00 s" in capsys.readouterr().out


def test_cores_says_where_there_is_only_one(monkeypatch):
    import cores

    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: {0})
    row = cores.measure(1, 16, turns=1, backbone_name="texture")
    assert row.holds is None
    assert "one core" in row.measured


def test_extraction_of_a_drawn_folder_is_timed(tmp_path):
    from cores import extraction_seconds
    from jobs import draw_photographs

    from primaps.heads.loading import load_backbone

    draw_photographs(tmp_path / "photographs", 2, 32, 48)
    assert extraction_seconds(tmp_path, load_backbone("texture", device="cpu"), 32, "run") > 0
    assert len(list((tmp_path / "run" / "proposals").glob("*.png"))) == 2


def test_end_to_end_reads_the_seconds_of_the_run(monkeypatch):
    import end_to_end
    from jobs import Usage

    def segment(*arguments):
        out = Path(arguments[arguments.index("--out") + 1])
        out.mkdir()
        (out / "run.json").write_text(
            json.dumps({"seconds": {"proposals": 6.0, "fit": 30.0, "label maps": 2.0}})
        )
        return Usage(50.0, 80.0, 700.0, "")

    monkeypatch.setattr(end_to_end, "primaps", segment)
    rows = end_to_end.measure([Path(f"{index}.jpg") for index in range(10)], "photographs", "fast")
    assert rows[0].measured.startswith("0.20 (50 s")
    assert rows[1].measured == "1.25 photographs per second"
    assert rows[2].measured == "700 MiB"


def test_forward_reads_the_numbers_of_the_tool(monkeypatch):
    import forward

    def tool(command):
        numbers = {"seconds": 0.5, "reference": "vit", "reference_seconds": 2.0, "ratio": 4.0}
        Path(command[command.index("--json") + 1]).write_text(json.dumps({"numbers": numbers}))

    monkeypatch.setattr(forward, "run_job", tool)
    assert forward.measure("mini", 1).measured == "500 ms; vit 2000 ms: 4.0 x as fast"


def test_gpu_says_where_there_is_none(monkeypatch, capsys):
    import gpu

    monkeypatch.setattr("sys.argv", ["gpu.py"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu.main()
    assert "no CUDA GPU here" in capsys.readouterr().out


def test_gpu_has_three_rows_per_size_of_batch(monkeypatch):
    import gpu

    monkeypatch.setattr(gpu, "CHANNELS", 200)
    scene = gpu.make_scene(2, 48, torch.device("cpu"))
    assert scene.features.shape[:2] == (2, gpu.CHANNELS)
    rows = gpu.measure(scene, "vit_tiny_patch16_224", [1, 2], 1, preset_config("fast"))
    assert [row.what.rpartition(", ")[2] for row in rows] == ["1 at a time"] * 3 + [
        "2 at a time"
    ] * 3
    assert all("no GPU: a trial" in row.what for row in rows)
    assert [row.measured.rpartition(" ")[2] for row in rows] == ["second", "second", "x"] * 2
    # proposals take time too
    assert all(float(row.measured.split()[0]) > 1.0 for row in rows[2::3])


def test_inputs_fall_back_to_photographs_of_packages(monkeypatch, tmp_path):
    pytest.importorskip("skimage")
    import inputs

    monkeypatch.setattr(inputs, "SHARED", tmp_path)
    path, origin = inputs.photograph()
    assert path.is_file()
    assert "scikit-image" in origin
    paths, origin = inputs.folder_of_photographs(3)
    assert len(set(paths)) == 3
    assert "scikit-image" in origin


def test_viewer_holds_times_against_their_bars():
    pytest.importorskip("httpx", reason="httpx is not installed (extra `test`)")
    import viewer

    rows = [viewer._bar("page", seconds, viewer.PAGE) for seconds in (0.1999, 0.2001)]
    assert [row.holds for row in rows] == [True, False]
    assert rows[0].measured == "199.9 ms"
    assert rows[0].bar == "at most 200 ms"


def test_viewer_says_what_is_missing(monkeypatch):
    pytest.importorskip("httpx", reason="httpx is not installed (extra `test`)")
    pytest.importorskip("playwright", reason="playwright is not installed (extra `test`)")
    import viewer

    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="Expected a browser on the PATH"), viewer._browser():
        pass


def test_many_files_measures_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    import many_files

    monkeypatch.setattr("sys.argv", ["many_files.py", "--images", "300", "--folder", str(tmp_path)])
    many_files.main()
    told = capsys.readouterr().out
    for what in ("write as a run does", "list", "resume", "read a sample", "delete"):
        assert f"file each: {what}" in told
        assert f"tar files: {what}" in told
    assert list(tmp_path.iterdir()) == []


def test_many_images_tells_memory_and_time(monkeypatch, tmp_path, capsys):
    import many_images

    monkeypatch.setattr(
        "sys.argv", ["many_images.py", "--images", "12", "--size", "16", "--work", str(tmp_path)]
    )
    with pytest.raises(SystemExit):  # so few images are neither flat nor linear
        many_images.main()
    said = capsys.readouterr().out
    assert "12 images" in said
    assert "memory from a tenth to the end" in said
    assert "in yardsticks" in said
    assert list(tmp_path.iterdir()) == []


def test_many_images_holds_growth_against_its_bars(capsys, monkeypatch):
    import many_images

    monkeypatch.setattr(many_images, "resident_mib", lambda *_: 100.0)
    sampling = many_images.Sampling()
    sampling._total = 100
    # memory, time of the images in the second half, speed of the processor in the second half
    cases = (
        (4.0, 1.05, 1.0, True),
        (6.0, 1.05, 1.0, False),
        (4.0, 1.2, 1.0, False),
        (4.0, 1.2, 1.2, True),
        (4.0, 1.05, 0.9, False),
    )
    for grown, late, slower, right in cases:
        used = [min(each, 50) * 0.1 + max(0, each - 50) * 0.1 * late for each in range(101)]
        sampling.samples = [
            many_images.Sample(
                each,
                3.0 * used[each],
                used[each],
                0.1 * (slower if each > 50 else 1.0),
                100.0 + grown * max(0, each - 10) / 90,
            )
            for each in range(1, 101)
        ]
        assert many_images.tell(sampling) is right
    assert "(bar 10%)" in capsys.readouterr().out
