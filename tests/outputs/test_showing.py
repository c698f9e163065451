"""What a notebook shows of one photograph."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt

import primaps as pm
from primaps.errors import OutputError
from primaps.outputs.showing import overlay, show
from primaps.outputs.visualize import outline, paint, palette
from primaps.types import ClassTable, MaskProposals, NamedClass


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


@pytest.fixture
def labels() -> np.ndarray:
    label_map = np.zeros((30, 40), dtype=np.uint8)
    label_map[:, 20:] = 1
    label_map[20:] = 255
    return label_map


@pytest.fixture
def classes() -> ClassTable:
    return ClassTable(
        2,
        (NamedClass(0, "sky", (1, 2, 3), (0,)), NamedClass(1, None, (200, 100, 50), (1,))),
    )


@pytest.fixture
def proposals() -> MaskProposals:
    label_image = np.zeros((30, 40), dtype=np.int32)
    label_image[:15] = 1
    return MaskProposals(label_image, np.array([0.5], dtype=np.float32))


@pytest.fixture(autouse=True)
def _no_window():
    mpl.use("agg")
    yield
    plt.close("all")


def test_a_label_map_has_a_colour_for_each_id(photo, labels):
    assert pm.overlay is overlay
    np.testing.assert_array_equal(overlay(photo, labels), paint(photo, labels, palette(255)))
    lighter = overlay(photo, labels, alpha=0.2, contours=False)
    np.testing.assert_array_equal(lighter, paint(photo, labels, palette(255), 0.2, contours=False))


def test_classes_bring_their_colours(photo, labels, classes):
    found = overlay(photo, labels, classes=classes, alpha=1.0, contours=False)
    assert found[0, 0].tolist() == [1, 2, 3]
    assert found[0, 30].tolist() == [200, 100, 50]


def test_ids_of_no_class_are_refused_since_they_may_be_clusters(photo, labels, classes):
    labels[0, 0] = 7
    with pytest.raises(OutputError, match=r"got \[7\], which are none. Take .*names=True"):
        overlay(photo, labels, classes=classes)


def test_proposals_are_outlined(photo, proposals):
    np.testing.assert_array_equal(overlay(photo, proposals), outline(photo, proposals.label_image))
    bare = overlay(photo, proposals, contours=False)
    np.testing.assert_array_equal(bare[:15], photo[:15])


def test_show_proposals_side_by_side(photo, proposals):
    figure = show(photo, proposals)
    left, right = figure.axes
    np.testing.assert_array_equal(left.images[0].get_array(), photo)
    np.testing.assert_array_equal(right.images[0].get_array(), overlay(photo, proposals))
    assert right.get_title() == "1 mask proposals, 50% of the pixels"
    assert not figure.legends
    figure.canvas.draw()


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_show_a_label_map_with_a_legend_the_largest_class_first(photo, labels, classes):
    labels[:, 10:20] = 1
    figure = show(photo, labels)
    assert figure.axes[1].get_title() == "label map, 2 classes"
    assert legend(figure) == ["class 1  58%", "class 0  17%"]
    assert legend(show(photo, labels, classes=classes)) == ["class 1  58%", "sky  17%"]


def test_a_legend_does_not_grow_without_end(photo):
    many = np.arange(30 * 40).reshape(30, 40) // 60
    assert legend(show(photo, many))[-1] == "and 8 more"


def test_show_draws_into_given_axes_only(photo, labels):
    figure, grid = plt.subplots(1, 3)
    assert show(photo, labels, ax=grid[1]) is figure
    assert [len(ax.images) for ax in grid] == [0, 1, 0]
    assert len(plt.get_fignums()) == 1


def test_show_never_opens_a_window(photo, labels, monkeypatch):
    def fail(*args, **kwargs):
        pytest.fail("plt.show was called")

    monkeypatch.setattr(plt, "show", fail)
    assert len(show(photo, labels).axes) == 2


def test_show_needs_no_display(tmp_path):
    code = (
        "import numpy as np, primaps as pm\n"
        "pm.show(np.zeros((8, 9, 3), np.uint8), np.zeros((8, 9), np.uint8)).savefig('x.png')"
    )
    environment = {"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)
    assert (tmp_path / "x.png").exists()


CELLS = """
import numpy as np, primaps as pm
photo, labels = np.zeros((8, 9, 3), np.uint8), np.zeros((8, 9), np.uint8)
figure = pm.show(photo, labels)
---
pm.show(photo, labels)
---
pm.show(photo, labels)
print("after")
---
figure
"""


@pytest.mark.slow
def test_a_notebook_shows_a_figure_once():
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in CELLS.split("---")]
    )
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3").execute()
    for cell in book.cells:
        shown = [each for each in cell.outputs if each.output_type == "display_data"]
        assert [set(each.data) for each in shown] == [{"image/jpeg", "text/plain"}]
        assert all(each.output_type in {"display_data", "stream"} for each in cell.outputs)
