import io
import json
import os
import sys
from types import SimpleNamespace

import pytest

from primaps.data.looking import HERE
from primaps.engine import looking_worker
from primaps.engine.looking_worker import answer, main


def asked(path, what="pages", **more):
    return {"what": what, "image": {"path": str(path), "name": path.name, "page": None}, **more}


def test_answers(photographs, tmp_path):
    (photograph, *_) = sorted(photographs.glob("*.png"))
    assert answer(HERE, asked(photograph)) == {"found": 1}
    assert answer(HERE, asked(photograph, "kind")) == {"found": None}
    assert "not_there" in answer(HERE, asked(tmp_path / "not_there"))["refused"]

    def full(image):
        raise MemoryError

    look = SimpleNamespace(pages=full)
    assert "less memory" in answer(look, asked(photograph))["refused"]
    assert "AttributeError" in answer(look, asked(photograph, "kind"))["error"]


def test_what_libraries_print_does_not_come_between(photographs, monkeypatch):
    (photograph, *_) = sorted(photographs.glob("*.png"))
    reading, writing = os.pipe()
    lines = [json.dumps({"memory": None}), json.dumps(asked(photograph))]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO("\n".join(lines).encode())))
    monkeypatch.setattr(looking_worker.os, "dup", lambda _: writing)
    monkeypatch.setattr(looking_worker.os, "dup2", lambda *_: None)
    main()
    with os.fdopen(reading, "rb") as told:
        found = [json.loads(line) for line in told.read(200).splitlines()]
    assert found == [{"ready": True}, {"found": 1}]


@pytest.mark.parametrize("what", ["values"])
def test_values_travel_as_text(photographs, what, monkeypatch):
    import numpy as np

    look = SimpleNamespace(values=lambda *_: np.array([1, 2], np.uint16))
    question = asked(photographs / "p0.png", what, kind="uint16", inputs={})
    assert answer(look, question) == {"found": {"content": "AQACAA==", "dtype": "<u2"}}
