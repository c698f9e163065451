import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.config import CRFConfig
from primaps.proposals.crf import compiled, plain
from primaps.proposals.crf.dense_crf import mean_field

CONFIG = CRFConfig()


def picture(height, width, seed=0):
    """Smooth colours, an edge and some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = np.stack([127 + 90 * np.sin(x / (8 + 3 * c) + y / 20 + c) for c in range(3)], -1)
    waves[:, width // 2 :] = 255 - waves[:, width // 2 :]
    return torch.from_numpy((waves + rng.normal(0, 3, waves.shape)).clip(0, 255).astype(np.uint8))


def probabilities(labels, height, width, seed=0):
    coarse = torch.randn(1, labels, 5, 6, generator=torch.Generator().manual_seed(seed)) * 2
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")[
        0
    ].softmax(0)


def both(image, probability, config=CONFIG, steps=10):
    given = image[None], probability[None], config, steps
    return compiled.mean_field_batch(*given)[0], plain.mean_field_batch(*given)[0]


def assert_alike(found, expected):
    assert (found - expected).abs().max() < 2e-3
    assert (found - expected).abs().mean() < 1e-5
    assert (found.argmax(0) == expected.argmax(0)).float().mean() >= 0.9999


@pytest.mark.parametrize("labels", [1, 3, 4, 5, 8, 11, 16, 17, 24, 27, 33, 40])
def test_equals_plain_torch(labels):
    assert_alike(*both(picture(90, 110, labels), probabilities(labels, 90, 110, labels)))


def test_equals_plain_torch_with_hundreds_of_labels():
    assert_alike(*both(picture(30, 40), probabilities(301, 30, 40)))


@pytest.mark.parametrize(
    "config",
    [
        CRFConfig(gaussian_sxy=2.5),
        CRFConfig(gaussian_sxy=0.3, bilateral_srgb=20.0),
        CRFConfig(bilateral_sxy=5.0, bilateral_compat=10.0),
        CRFConfig(gaussian_compat=-1.0),
        CRFConfig(gaussian_compat=300.0, bilateral_compat=400.0),
        CRFConfig(gaussian_compat=0.0, bilateral_compat=0.0),
    ],
)
@pytest.mark.parametrize("labels", [4, 20])
def test_equals_plain_torch_with_other_settings(config, labels):
    assert_alike(*both(picture(50, 60), probabilities(labels, 50, 60), config, 5))


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_equals_plain_torch_after_any_number_of_iterations(steps):
    found, expected = both(picture(40, 50), probabilities(9, 40, 50), steps=steps)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    labels=st.integers(1, 20),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    seed=st.integers(0, 9999),
)
def test_equals_plain_torch_at_any_size(labels, height, width, seed):
    # One iteration: later ones amplify rounding where labels are torn.
    image = torch.from_numpy(
        np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    )
    found, expected = both(image, probabilities(labels, height, width, seed), steps=1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_short_rows_on_a_large_lattice_equal_long_ones(monkeypatch):
    image, probability = picture(40, 40), probabilities(27, 40, 40)
    long = both(image, probability)[0]
    monkeypatch.setattr(compiled, "_MAX_LATTICE", 1)
    assert compiled._choose_width(27, 1000) == 4
    assert_alike(both(image, probability)[0], long)


@pytest.mark.parametrize(
    ("labels", "width"),
    [(1, 4), (4, 4), (5, 8), (8, 8), (9, 16), (16, 16), (24, 8), (27, 16), (300, 16)],
)
def test_rows_are_as_long_as_pays(labels, width):
    assert compiled._choose_width(labels, 100_000) == width


def test_memory_limits_the_rows():
    assert compiled._choose_width(27, 1_500_000) == 8
    assert compiled._choose_width(27, 4_000_000) == 4
    assert compiled._choose_width(27, 40_000_000) == 4


def test_huge_images_do_not_fit():
    assert compiled.fits(12000 * 9000)
    assert not compiled.fits(20000 * 20000)


def test_layout_of_the_probabilities_does_not_matter():
    image, probability = picture(30, 20), probabilities(6, 30, 20)
    labels_last = probability.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    assert torch.equal(both(image, labels_last)[0], both(image, probability)[0])
    assert torch.equal(both(image, probability.double())[0], both(image, probability)[0])


@pytest.mark.parametrize("points", [1, 63, 64, 65, 130])
@pytest.mark.parametrize(("labels", "width"), [(1, 4), (2, 4), (4, 4), (7, 8), (16, 16)])
def test_rows_of_labels_and_back(labels, width, points):
    rng = np.random.default_rng(points)
    given, factor = (
        rng.random((labels, points), dtype=np.float32),
        rng.random(points, dtype=np.float32),
    )
    rows, back = np.full(points * width + 3, 9, np.float32), np.empty_like(given)
    compiled._pack(given, factor, np.float32(-1), rows, (0,) * width)
    expected = np.full((points, width), -1, np.float32)
    expected[:, :labels] = (given * factor).T
    assert np.array_equal(rows[: points * width].reshape(points, width), expected)
    assert (rows[points * width :] == 9).all()
    compiled._unpack(rows, back, (0,) * width)
    assert np.array_equal(back, given * factor)


def test_threads_give_the_same_bytes():
    images = [picture(60, 50, seed) for seed in range(4)]
    given = [probabilities(20, 60, 50, seed) for seed in range(4)]
    expected = [mean_field(*pair) for pair in zip(images, given, strict=True)]
    results = {}

    def work(index):
        results[index] = mean_field(images[index], given[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(results[index], expected[index]) for index in range(4))


def test_processes_give_the_same_bytes():
    code = (
        "import hashlib, numpy as np, torch; from primaps import dense_crf; rng ="
        " np.random.default_rng(0);posterior = dense_crf(rng.integers(0, 99, (40, 50, 3),"
        " dtype=np.uint8), rng.normal(size=(9, 10,"
        " 10)));print(hashlib.sha256(posterior.tobytes()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": count},
        ).stdout
        for count in ("1", "2")
    }
    assert len(digests) == 1
