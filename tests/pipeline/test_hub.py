"""Models on the hub, against a stand-in that speaks its protocol."""

import dataclasses
import json
import shutil
import sys

import numpy as np
import pytest

import primaps as pm
from primaps.errors import CheckpointError, ConfigError, OutputError
from primaps.evaluation.evaluate import evaluate_label_maps
from primaps.naming.table import ignore_class, name_class
from primaps.pipeline.hub import FILES, write_model

REPO = "me/streets"


@pytest.fixture
def fitted(photographs, texture, small_config):
    segmenter = pm.Segmenter(texture, num_clusters=3, seed=0, config=small_config).fit(photographs)
    table, _ = name_class(segmenter.classes, 1, "road | lane")
    segmenter.classes = ignore_class(table, 2)
    return segmenter


def test_what_is_sent_comes_back_the_same(hub, fitted, photograph):
    address = fitted.push_to_hub(REPO, token=hub.token)
    number = hub.repositories[REPO].commits[-1][0]
    assert address == f"{hub.endpoint}/{REPO}/commit/{number}"
    assert set(hub.files(REPO)) == {
        "README.md",
        "classes.yaml",
        "model.json",
        "prototypes.safetensors",
    }
    loaded = pm.Segmenter.from_pretrained(REPO, device="cpu")
    for names in (False, True):
        np.testing.assert_array_equal(
            loaded.predict(photograph, names=names), fitted.predict(photograph, names=names)
        )
    assert loaded.classes == fitted.classes
    assert not [asked for asked in hub.requests if asked.startswith("POST /api/tele")]


def test_the_card_says_what_the_model_is(hub, fitted):
    labels = np.zeros((2, 3), dtype=np.int64)
    scores = evaluate_label_maps([(labels.astype(np.uint8), labels)], 3, ("sky", "road", "x"))
    fitted.push_to_hub(REPO, token=hub.token, scores=scores, scores_on="Two val")
    card = hub.files(REPO)["README.md"].decode()
    assert card.startswith("---\nlibrary_name: primaps\n")
    assert "license: apache-2.0" in card
    for words in (
        "# streets\n",
        "Fitted on 5 photographs, without labels, by PriMaPs-EM; 3 clusters.",
        "`texture` (colour, gradient and position statistics, nothing learned)",
        "It was trained with: no label ever seen.",
        f'from_pretrained("{REPO}")',
        "| 1 | road \\| lane | #",
        "| 2 | class 2 (ignored: 255) | #",
        "On Two val, 1 images: accuracy 100.0%, mean IoU 100.0%.",
    ):
        assert words in card, words
    fitted.push_to_hub(REPO, token=hub.token)
    assert "Scores" not in hub.files(REPO)["README.md"].decode()
    with pytest.raises(ConfigError, match="scores and scores_on together"):
        fitted.push_to_hub(REPO, token=hub.token, scores=scores)


def test_a_head_goes_along_and_one_that_was_there_before_does_not_stay(
    hub, photographs, photograph, texture_head, small_config, fitted, tmp_path
):
    backbone = pm.load_backbone("texture", device="cpu", head=texture_head)
    with_head = pm.Segmenter(backbone, num_clusters=3, config=small_config).fit(photographs)
    with_head.push_to_hub(REPO, token=hub.token)
    expected = with_head.predict(photograph)
    shutil.rmtree(texture_head)
    assert {"head/head.json", "head/head.safetensors"} <= set(hub.files(REPO))
    assert "a head of kind stego" in hub.files(REPO)["README.md"].decode()
    loaded = pm.Segmenter.from_pretrained(REPO, device="cpu")
    np.testing.assert_array_equal(loaded.predict(photograph), expected)
    assert str(tmp_path).encode() not in b"".join(hub.files(REPO).values())
    with pytest.raises(CheckpointError, match="Expected a head"):
        with_head.push_to_hub(REPO, token=hub.token)
    fitted.push_to_hub(REPO, token=hub.token)
    assert not [name for name in hub.files(REPO) if name.startswith("head/")]


def test_revisions(hub, fitted, photograph):
    fitted.push_to_hub(REPO, token=hub.token)
    first = hub.repositories[REPO].commits[-1][0]
    hub.repositories[REPO].tags["v1"] = first
    table, _ = name_class(fitted.classes, 0, "sky")
    fitted.classes = table
    fitted.push_to_hub(REPO, token=hub.token)
    names = {
        revision: pm.Segmenter.from_pretrained(REPO, revision=revision, device="cpu")
        .classes.classes[0]
        .name
        for revision in (None, first, "v1")
    }
    assert names == {None: "sky", first: None, "v1": None}
    with pytest.raises(CheckpointError, match="404"):
        pm.Segmenter.from_pretrained(REPO, revision="v9", device="cpu")


def test_private_models(hub, fitted):
    fitted.push_to_hub(REPO, private=True, token=hub.token)
    assert hub.repositories[REPO].private
    with pytest.raises(CheckpointError, match="a private model needs a token"):
        pm.Segmenter.from_pretrained(REPO, device="cpu")
    assert pm.Segmenter.from_pretrained(REPO, token=hub.token, device="cpu").is_fitted
    fitted.push_to_hub("me/open", token=hub.token)
    before = len(hub.repositories["me/open"].commits)
    with pytest.raises(ConfigError, match="'me/open' to be private, but it exists and is public"):
        fitted.push_to_hub("me/open", private=True, token=hub.token)
    assert len(hub.repositories["me/open"].commits) == before


def test_what_cannot_be_sent_or_fetched_is_said(hub, fitted, texture):
    with pytest.raises(OutputError, match=r"Could not send the model to 'me/streets'.*hf auth"):
        fitted.push_to_hub(REPO, token="hf_wrong")
    assert not hub.repositories
    with pytest.raises(CheckpointError, match=r"Expected a model 'me/streets' on the hub"):
        pm.Segmenter.from_pretrained(REPO, device="cpu")
    with pytest.raises(CheckpointError, match="Call fit"):
        pm.Segmenter(texture, num_clusters=3).push_to_hub(REPO, token=hub.token)


def test_without_network_the_cache_is_used(hub, fitted, photograph, monkeypatch):
    from primaps.pipeline import hub as module

    fitted.push_to_hub(REPO, token=hub.token)
    expected = pm.Segmenter.from_pretrained(REPO, device="cpu").predict(photograph)
    monkeypatch.setattr(module, "hub_is_known", lambda: False)
    hub.requests.clear()
    again = pm.Segmenter.from_pretrained(REPO, device="cpu")
    np.testing.assert_array_equal(again.predict(photograph), expected)
    assert not hub.requests
    with pytest.raises(CheckpointError, match="no network, and the cache of the hub"):
        pm.Segmenter.from_pretrained("me/other", device="cpu")


def test_a_hub_that_has_gone_is_not_missed(hub, fitted, photograph, monkeypatch):
    from huggingface_hub import constants

    fitted.push_to_hub(REPO, token=hub.token)
    expected = pm.Segmenter.from_pretrained(REPO, device="cpu").predict(photograph)
    for name in ("ENDPOINT", "HUGGINGFACE_CO_URL_TEMPLATE"):
        address = getattr(constants, name).replace(hub.endpoint, "http://127.0.0.1:9")
        monkeypatch.setattr(constants, name, address)
    again = pm.Segmenter.from_pretrained(REPO, device="cpu")
    np.testing.assert_array_equal(again.predict(photograph), expected)


def test_tensors_that_are_cut_go_on_and_others_are_refused(hub, fitted, photograph, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)
    fitted.push_to_hub(REPO, token=hub.token)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    fault = sys.modules[type(hub).__module__].Fault
    hub.xet = True
    hub.faults += [fault("GET /cdn", garbled=True), fault("GET /cdn", cut=300)]
    with pytest.raises(CheckpointError, match="something on the way changed it"):
        pm.Segmenter.from_pretrained(REPO, device="cpu")
    loaded = pm.Segmenter.from_pretrained(REPO, device="cpu")
    np.testing.assert_array_equal(loaded.predict(photograph), fitted.predict(photograph))
    assert hub.starts
    assert not [each for each in hub.requests if "xet" in each]


def test_a_gated_model_says_where_to_accept_its_licence(hub, fitted):
    fitted.push_to_hub(REPO, token=hub.token)
    hub.repositories[REPO].gated = True
    with pytest.raises(CheckpointError, match=rf"accept it at {hub.endpoint}/{REPO}, then log in"):
        pm.Segmenter.from_pretrained(REPO, device="cpu")
    hub.accepted.add(REPO)
    assert pm.Segmenter.from_pretrained(REPO, token=hub.token, device="cpu").is_fitted


def test_a_backbone_from_a_file_is_named_by_its_checksum(fitted, tmp_path):
    described = {**fitted.model.backbone, "name": "dino_vits16", "weights_sha256": "ab" * 32}
    model = dataclasses.replace(fitted.model, backbone=described, weights="/home/me/dino.pth")
    (tmp_path / "sent").mkdir()
    write_model(tmp_path / "sent", REPO, model, fitted.classes, None)
    card = (tmp_path / "sent" / "README.md").read_text()
    assert f"`{'ab' * 32}`" in card
    assert 'weights="FILE"' in card
    record = json.loads((tmp_path / "sent" / "model.json").read_text())
    assert record["weights"] is None
    assert "/home/me" not in json.dumps(record)


def test_nothing_but_the_model_is_sent(hub, fitted, tmp_path):
    fitted.push_to_hub(REPO, token=hub.token)
    patterns = {pattern for pattern in FILES if "*" not in pattern}
    assert set(hub.files(REPO)) <= patterns
