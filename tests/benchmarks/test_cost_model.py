"""The model of what a million images cost, from figures that are made up, and measured once on few
images.
"""

import dataclasses
import json

import pytest
import torch


@pytest.fixture
def costs():
    from cost_model import Costs
    from cost_pieces import Line, OfBackbone, Shared

    shared = Shared(
        reading=Line(0.001, 0.01),
        drawing=Line(0.002, 0.0),
        labelling=Line(0.0, 0.5),
        labelling_plain=Line(0.0, 0.1),
        photo_bytes=Line(0.0, 300_000.0),
        proposal_bytes=Line(0.0, 20_000.0),
        label_bytes=Line(0.0, 50_000.0),
        proposals=10.0,
    )
    backbone = OfBackbone(
        "efficientnet_lite0",
        features=Line(0.0, 0.3),
        proposals=Line(0.0, 0.5),
        storing=Line(0.0, 0.0),
        store_bytes=Line(0.0, 15e6),
        dim=472,
        multiple=32,
        drawn=False,
    )
    large = dataclasses.replace(backbone, name="dino_vitb8", multiple=8, drawn=True)
    run = {"proposals": 9.0, "label maps": 3.0}
    return Costs(shared, (backbone, large), "two cores", "8 photographs", 8, run)


def test_lines_go_through_what_was_measured():
    from cost_pieces import line_through

    line = line_through([(100_000, 1.5), (200_000, 2.5), (200_000, 2.5)])
    assert line.fixed == pytest.approx(0.5)
    assert line.at(300_000) == pytest.approx(3.5)


def test_no_line_has_a_negative_fixed_part():
    from cost_pieces import line_through

    assert line_through([(100_000, 1.0), (200_000, 4.0)]).fixed == 0.0
    assert line_through([(100_000, 1.0)]).at(200_000) == pytest.approx(2.0)


def test_an_image_costs_the_sum_of_its_pieces(costs):
    from cost_model import per_image

    backbone = costs.backbones[0]
    one = per_image(costs.shared, backbone, (500, 1000), 320)  # its input: 320 x 640
    inside = 320 * 640 / 1e6
    assert one.features == pytest.approx(0.3 * inside)
    assert one.proposals == pytest.approx(0.006 + 0.002 + 0.8 * inside)
    assert one.predict == pytest.approx(0.006 + 0.3 * inside + 0.25)
    assert one.predict_plain == pytest.approx(one.predict - 0.2)
    assert one.store == pytest.approx(15 * 320 * 640)
    assert one.digest == 10 * (4 * 472 + 12) + 500


def test_a_larger_run_takes_what_the_small_one_took_and_the_further_images(costs):
    from cost_model import predicted

    found = predicted(costs, costs.backbones[0], 80)
    pixels = 320 * 480 / 1e6
    further = 0.003 + 0.01 * pixels + 0.8 * pixels
    assert found["proposals"] == pytest.approx(9.0 + 72 * further)
    assert found["label maps"] == pytest.approx(3.0 + 72 * (0.001 + 0.51 * pixels))
    assert found["label maps as PNG bytes"] == pytest.approx(80 * 50_000 * pixels)


def test_tables_claim_nothing_of_gpus_and_mark_random_weights(costs):
    from cost_model import tables

    text = tables(costs, (480, 640), 320)
    large = next(line for line in text.splitlines() if line.startswith("| `dino_vitb8`"))
    assert "(random weights)" in large
    assert "not measured here" in large
    assert "the photographs (JPEG of quality 92) 92 GB" in text


def test_corpora_are_derived_from_the_same_figures(costs):
    from cost_model import tables

    text = tables(costs, (480, 640), 320).splitlines()
    assert "| `efficientnet_lite0` | 10^6 images | 10^8 images | 10^9 images |" in text
    assert "| manifest, GB | 0.19 | 19 | 190 |" in text
    assert (
        "| objects of one command with shards (3 per 256 images) | 12 000 | 1 200 000 |"
        in "".join(text)
    )


def test_costs_survive_the_file(costs, tmp_path):
    from cost_model import read

    file = tmp_path / "costs.json"
    file.write_text(json.dumps(dataclasses.asdict(costs)))
    assert read(file) == costs


def test_tables_go_between_their_marks(tmp_path):
    from cost_model import MARKS, write_into

    page = tmp_path / "page.md"
    page.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    write_into(page, "new")
    write_into(page, "newer")
    assert page.read_text() == f"before\n{MARKS[0]}\n\nnewer\n\n{MARKS[1]}\nafter\n"
    page.write_text("none\n")
    with pytest.raises(SystemExit, match="cost model: begin"):
        write_into(page, "new")


def test_every_kind_of_backbone_of_the_registry_is_named():
    from cost_model import names

    assert {"efficientnet_lite0", "mini", "texture", "dino_vitb8", "dinov2_vitl14"} <= set(names())
    assert not [name for name in names() if name.endswith(("_reg", "_300ep"))]


def test_features_that_stand_in_have_grid_and_channels_of_others():
    import tempfile
    from pathlib import Path

    from cost_pieces import CONFIG, any_backbone, stand_in, write_pictures

    from primaps.pipeline.framed import framed_photo

    with tempfile.TemporaryDirectory() as folder, any_backbone("texture") as (texture, drawn):
        assert not drawn
        picture = write_pictures(Path(folder), 1).small[0]
        photo = framed_photo(picture, CONFIG)
        few, many = (
            stand_in(photo, torch.zeros(channels, 5, 7), texture, 64) for channels in (40, 300)
        )
    assert few.shape == (40, 5, 7)
    assert many.shape == (300, 5, 7)
    norms = many.norm(dim=0)  # a rotation keeps them
    assert (norms > 0).all()


@pytest.mark.slow
def test_pieces_are_measured(tmp_path, monkeypatch, capsys):
    import cost_model

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    command = ["cost_model.py", "--images", "2", "--turns", "1", "--sizes", "56", "112"]
    command += ["--backbones", "efficientnet_lite0", "dinov2_vits14", "--check"]
    monkeypatch.setattr(cost_model, "TIMES", 2)
    monkeypatch.setattr("sys.argv", [*command, "--json", str(tmp_path / "costs.json")])
    cost_model.main()
    torch.set_num_threads(threads)
    costs = cost_model.read(tmp_path / "costs.json")
    shared, found = costs.shared, costs.backbones[1]
    assert shared.labelling.at(150_000) > shared.labelling_plain.at(150_000) > 0
    assert shared.photo_bytes.at(150_000) > 1000
    assert (found.dim, found.multiple, found.drawn) == (384, 14, True)
    tokens = (112 // 14) * (168 // 14)
    assert found.store_bytes.at(112 * 168) == pytest.approx(tokens * 384 * 2 + 112 * 168, rel=0.1)
    assert "| `primaps segment` of 4 photographs" in capsys.readouterr().out
