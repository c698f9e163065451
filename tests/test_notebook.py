"""The report inside a notebook."""

import html
import re
import webbrowser
from pathlib import Path

import pytest

import primaps as pm
from primaps import notebook, pipeline
from primaps.errors import CheckpointError


@pytest.fixture
def fitted(photographs, texture, small_config, tmp_path):
    return pm.Segmenter(texture, num_clusters=3, seed=0, config=small_config).fit(
        photographs, run_dir=tmp_path / "the <run>"
    )


def embedded(view):
    """The page inside what a notebook shows."""
    found = re.search(r' srcdoc="([^"]*)"', view._repr_html_())
    return None if found is None else html.unescape(found[1])


def test_a_run_may_be_given_in_any_form(fitted):
    folder = fitted.write_labels()
    opened = pipeline.reopen(folder, {}, device="cpu")
    for given in (folder, str(folder), fitted, opened):
        assert pm.view(given).path == folder / "report.html"


def test_a_notebook_shows_the_page_apart_from_itself(fitted):
    folder = fitted.write_labels()
    view = pm.view(folder, height=500)
    assert embedded(view) == (folder / "report.html").read_text(encoding="utf-8")
    frame = view._repr_html_().partition(" srcdoc=")[0]
    assert 'sandbox="allow-scripts allow-popups"' in frame  # no allow-same-origin
    assert 'title="Report of the &lt;run&gt;"' in frame
    assert "height: 500px" in frame


def test_elsewhere_it_is_a_sentence(fitted, monkeypatch):
    folder = fitted.write_labels()
    view = pm.view(folder)
    assert repr(view) == (
        f"Report: {folder}/report.html\nOpen it in a browser, or call .open(). To name classes:"
        f" primaps studio '{folder}'"
    )
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    assert view.open()
    assert opened == [(folder / "report.html").as_uri()]


def test_a_path_stays_as_it_was_given(fitted, monkeypatch):
    folder = fitted.write_labels()
    monkeypatch.chdir(folder.parent)
    assert pm.view(folder.name).path == Path("the <run>/report.html")


def test_what_is_missing_is_said(fitted, texture, tmp_path):
    with pytest.raises(CheckpointError, match=r"no run.json in it. Give the folder"):
        pm.view(tmp_path)
    with pytest.raises(CheckpointError, match=r"none yet. Call segmenter.write_labels\(\)"):
        pm.view(fitted)
    (fitted.write_labels() / "report.html").unlink()
    with pytest.raises(CheckpointError, match=r"Write it: primaps report '.*the <run>'"):
        pm.view(fitted)
    with pytest.raises(CheckpointError, match=r"has none. Fit it with run_dir"):
        pm.view(pm.Segmenter(texture, num_clusters=3))


def test_of_a_large_report_some_photographs_are_shown(fitted, monkeypatch):
    folder = fitted.write_labels()
    monkeypatch.setattr(notebook, "MAX_EMBEDDED", 1)
    page = embedded(pm.view(folder))
    assert page.count('id="photo-') == 1
    assert "This page holds 1 of 5 photographs" in page
    before = sorted(path.stat().st_mtime_ns for path in folder.rglob("*"))
    assert pm.view(folder)._repr_html_()
    assert sorted(path.stat().st_mtime_ns for path in folder.rglob("*")) == before


def test_where_no_page_can_be_made_the_reason_stands_beside_the_path(fitted, monkeypatch):
    folder = fitted.write_labels()
    (folder / "classes.yaml").write_text("classes: [")
    monkeypatch.setattr(notebook, "MAX_EMBEDDED", 1)
    shown = html.unescape(pm.view(folder)._repr_html_())
    assert "<iframe" not in shown
    assert "report.html" in shown
    assert "classes.yaml" in shown
