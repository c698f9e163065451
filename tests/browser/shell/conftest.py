"""A small run as the viewer gets it, for tests of the frame, the cards and the gallery."""

import base64
import json
import types
from pathlib import Path

import numpy as np
import pytest

CLUSTERS = 5
SOURCE = (Path(__file__).parent / "shell_source.js").read_text(encoding="utf-8")
COLOURS = ("#e6194b", "#3c8cff", "#ffd21f", "#2eb872", "#a04ae0")


def features(seed=0):
    """(M, 16) unit features of proposals and (M,) their clusters, of which the last has none."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CLUSTERS, 16))
    clusters = rng.integers(0, CLUSTERS - 1, 60)
    found = centres[clusters] + rng.normal(size=(60, 16))
    return found / np.linalg.norm(found, axis=1, keepdims=True), clusters


def sums_of(found, clusters):
    """(K, 16) sums of the features of each cluster."""
    return np.stack([found[clusters == cluster].sum(0) for cluster in range(CLUSTERS)])


def run_record(images=60):
    """A RunRecord: image i has clusters i % 4 and (i + 1) % 4."""
    found, clusters = features()
    sums = sums_of(found, clusters)
    gram = np.asarray(sums @ sums.T, "<f4")
    numbers = range(images)
    examples = [[{"image": i, "proposal": 1, "score": i / 100}] for i in range(CLUSTERS)]
    return {
        "format": 1,
        "title": "street",
        "folder": "/data/my street",
        "date": "2026-11-29T10:35:12+00:00",
        "about": "Photographs of a street.",
        "command": "segment",
        "model": "abc",
        "num_clusters": CLUSTERS,
        "backbone": {"name": "mini", "training": "no label ever seen", "levels": None},
        "method": "em",
        "inputs": ["photos"],
        "has_proposals": True,
        "has_certainty": False,
        "images": {
            "name": [f"{'b' if i % 2 else 'a'}/photo{i}.jpg" for i in numbers],
            "width": [64] * images,
            "height": [48] * images,
            "proposals": [2 + i % 7 for i in numbers],
            "coverage": [0.5 + 0.4 * ((7 * i) % images) / images for i in numbers],
            "certainty": [None if i == 3 else ((11 * i) % images) / images for i in numbers],
            "clusters": [[[i % 4, 2000], [(i + 1) % 4, 1000 + i]] for i in numbers],
            "warnings": [["It is 16 bits deep."] if i in {5, 6} else [] for i in numbers],
        },
        "total_images": images,
        "clusters": {
            "gram": base64.b64encode(gram.tobytes()).decode(),
            "counts": np.bincount(clusters, minlength=CLUSTERS).tolist(),
        },
        "cluster_certainty": [[100, 0.2], [300, 0.4], [50, 0.1], [10, 0.9], [0, 0.0]],
        "examples": [{"best": each, "worst": each, "uncertain": each} for each in examples],
        "facts": {"regions per photograph": "5"},
        "warnings": ["One remark."],
        "failures": [{"path": "<img src=x>.jpg", "stage": "reading", "reason": "It is cut off."}],
        "settings": {"fit": {"seed": 0, "crf": True}, "levels": [8, 16]},
        "timings": {"proposals": 65.2},
        "curves": {
            "losses": [2.0, 1.5, 1.25],
            "steps": [1, 3],
            "usage": [[0.3, 0.3, 0.2, 0.2, 0.0], [0.4, 0.3, 0.2, 0.1, 0.0]],
            "agreement": [0.8, 0.9],
        },
        "tree": {
            "num_clusters": CLUSTERS,
            "merges": [[0, 1, 0.1, 0.4], [2, 3, 0.2, 0.4], [5, 6, 0.4, 0.8], [7, 4, 0.6, 1.0]],
            "number": {"value": 5, "curve": [[4, 0.4], [5, 0.6], [6, 0.5]]},
        },
        "advice": [{"title": "Name them", "text": "In words.", "command": "primaps studio street"}],
    }


def run_state(**classes):
    """A State: class i owns cluster i; ``c1={"name": "road"}`` changes class 1."""
    table = [
        {"id": i, "name": None, "colour": COLOURS[i], "clusters": [i], "ignore": False, "note": ""}
        for i in range(CLUSTERS)
    ]
    for key, changes in classes.items():
        table[int(key[1:])].update(changes)
    return {
        "revision": 0,
        "classes": table,
        "corrections": {},
        "pixels": {},
        "asleep": [],
        "undo": None,
        "redo": None,
        "candidates": [],
        "accepted": None,
    }


@pytest.fixture
def small_run(web_server):
    """A small run: ``record(images)``, ``state(c1={...})``, ``features()``, ``sums_of(...)`` and
    ``address(...)`` of a page that shows it.
    """

    def address(run=None, state=None, extend=""):
        return viewer_page(web_server, run or run_record(), state or run_state(), extend)

    return types.SimpleNamespace(
        record=run_record, state=run_state, features=features, sums_of=sums_of, address=address
    )


def viewer_page(web_server, run, state, extend):
    """Address of a page with the viewer over a fake source; ``app`` and ``source`` are global.

    Args:
        extend: what is given to ``app.extend``, as JavaScript.
    """
    web_server.put("/web-of-tests/shell_source.js", SOURCE, "text/javascript")
    data = json.dumps({"run": run, "state": state})
    script = f"""
        import {{ App }} from "viewer/app.js";
        import {{ ROUTES }} from "viewer/routes.js";
        import {{ ShellSource }} from "/web-of-tests/shell_source.js";
        globalThis.source = new ShellSource({data.replace("<", chr(92) + "u003c")});
        globalThis.app = new App(document.getElementById("app"), source, ROUTES);
        {f"app.extend({extend});" if extend else ""}
        app.start();
    """
    head = "".join(
        f'<link rel="stylesheet" href="/web/{name}">' for name in ("style.css", "photo.css")
    )
    return web_server.page(script=script, head=head, body='<div id="app"></div>')
