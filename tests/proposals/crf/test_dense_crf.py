import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.compute.compiling.twins import Twins
from primaps.config import CRFConfig
from primaps.errors import ConfigError, PrimapsError
from primaps.proposals.crf import compiled, plain
from primaps.proposals.crf import dense_crf as crf
from primaps.proposals.crf.dense_crf import (
    PATHS,
    MeanField,
    dense_crf,
    describe_backend,
    mean_field,
    mean_field_batch,
    official_uint8,
)

GOLDEN = Path(__file__).parents[3].parent / "shared" / "golden"
GOLDEN_NAMES = [
    "0001TP_006990",
    "0006R0_f01620",
    "0006R0_f03870",
    "0016E5_04470",
    "0016E5_06720",
    "106020",
    "183087",
    "28096",
]


@pytest.fixture(params=["compiled", "plain"], autouse=True)
def path(request):
    """What carries out the mean field: everything here holds for both."""
    with PATHS.plain_only() if request.param == "plain" else nullcontext():
        yield request.param


def blobs(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth colourful image with a hard edge and some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [127 + 80 * np.sin(x / (9 + 3 * c) + c) + 40 * np.cos(y / (7 + c)) for c in range(3)]
    image = np.stack(waves, -1) + rng.normal(0, 4, (height, width, 3))
    image[:, width // 2 :] = 255 - image[:, width // 2 :]
    return image.clip(0, 255).astype(np.uint8)


def logits(labels: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1.5, (labels, height, width)).astype(np.float32)


def probabilities(labels: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(logits(labels, height, width, seed)).softmax(0)


def upsampled(scores: np.ndarray, height: int, width: int) -> torch.Tensor:
    return torch.nn.functional.interpolate(
        torch.from_numpy(scores)[None], size=(height, width), mode="bilinear"
    )[0]


def exact_mean_field(image: np.ndarray, probability: np.ndarray, config: CRFConfig) -> np.ndarray:
    """Mean field with dense kernel matrices in float64 (Krähenbühl & Koltun 2011, equations 1 to 3
    and algorithm 1).
    """
    labels, height, width = probability.shape
    y, x = np.mgrid[:height, :width]
    position = np.stack([x.ravel(), y.ravel()], 1).astype(np.float64)
    colour = image.reshape(-1, 3) / config.bilateral_srgb
    terms = [
        (config.gaussian_compat, position / config.gaussian_sxy),
        (config.bilateral_compat, np.concatenate([position / config.bilateral_sxy, colour], 1)),
    ]
    total = 0.0
    for weight, feature in terms:
        kernel = np.exp(-0.5 * np.square(feature[:, None] - feature[None]).sum(2))
        norm = 1 / np.sqrt(kernel.sum(1))
        total = total + weight * norm[:, None] * kernel * norm[None]
    unary = np.log(probability.reshape(labels, -1).clip(1e-5, 1)).T
    posterior = np.exp(unary) / np.exp(unary).sum(1, keepdims=True)
    for _ in range(config.iterations):
        energy = unary + total @ posterior
        energy = np.exp(energy - energy.max(1, keepdims=True))
        posterior = energy / energy.sum(1, keepdims=True)
    return posterior.T.reshape(labels, height, width)


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_reproduces_published_label_maps(name):
    if not GOLDEN.is_dir():
        pytest.skip(f"needs the reference label maps in {GOLDEN}")
    from PIL import Image
    from safetensors.numpy import load_file

    image = official_uint8(np.array(Image.open(GOLDEN / f"{name}.png").convert("RGB")))
    tensors = load_file(GOLDEN / f"{name}.safetensors")
    labels = dense_crf(image, tensors["soft_log_probabilities"]).argmax(0)
    labels[labels == 0] = 255
    agreement = max(float((labels == label_map).mean()) for label_map in tensors["label_maps"])
    assert agreement >= 0.995


@pytest.mark.parametrize(
    ("labels", "height", "width"), [(2, 120, 90), (5, 90, 131), (8, 64, 64), (27, 90, 100)]
)
def test_argmax_equals_pydensecrf(labels, height, width):
    densecrf = pytest.importorskip(
        "pydensecrf.densecrf", reason="needs the extra crf-oracle (pydensecrf2)"
    )
    image, probability = blobs(height, width), probabilities(labels, height, width)
    model = densecrf.DenseCRF2D(width, height, labels)
    model.setUnaryEnergy(
        np.ascontiguousarray(-probability.clamp(1e-5, 1).log().numpy().reshape(labels, -1))
    )
    model.addPairwiseGaussian(sxy=1, compat=3)
    model.addPairwiseBilateral(
        sxy=67, srgb=3, rgbim=np.ascontiguousarray(image[..., ::-1]), compat=4
    )
    expected = np.array(model.inference(10)).reshape(labels, height, width)
    actual = mean_field(torch.from_numpy(image), probability).numpy()
    assert (actual.argmax(0) == expected.argmax(0)).mean() >= 0.999
    assert np.abs(actual - expected).mean() < 1e-4


@pytest.mark.parametrize("labels", [2, 4])
@pytest.mark.parametrize("srgb", [3.0, 20.0, 40.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_one_iteration_is_close_to_exact_mean_field(labels, srgb, seed):
    # The lattice approximates a Gaussian: after one iteration the posterior is off by 0.001 to
    # 0.007 on average, 0.09 at most.
    config = CRFConfig(bilateral_srgb=srgb, iterations=1)
    image, probability = blobs(12, 10), upsampled(2 * logits(labels, 3, 3, seed), 12, 10).softmax(0)
    expected = exact_mean_field(image, probability.double().numpy(), config)
    actual = mean_field(torch.from_numpy(image), probability, config).numpy()
    assert np.abs(actual - expected).mean() < 0.01
    assert np.abs(actual - expected).max() < 0.12
    assert (actual.argmax(0) == expected.argmax(0)).mean() >= 0.95


@pytest.mark.parametrize("labels", [2, 4])
def test_all_iterations_are_close_to_exact_mean_field(labels):
    # Clear scores only: where two fixed points compete, ten iterations amplify any approximation of
    # the kernel.
    image, probability = blobs(12, 10), upsampled(2 * logits(labels, 3, 3), 12, 10).softmax(0)
    expected = exact_mean_field(image, probability.double().numpy(), CRFConfig())
    actual = mean_field(torch.from_numpy(image), probability).numpy()
    assert np.abs(actual - expected).mean() < 0.001
    assert np.abs(actual - expected).max() < 0.02
    assert np.array_equal(actual.argmax(0), expected.argmax(0))


def test_follows_the_edge_of_the_image():
    image = np.full((40, 60, 3), 30, np.uint8)
    image[:, 24:] = 220
    coarse = np.zeros((2, 4, 6), np.float32)
    coarse[0, :, :3], coarse[1, :, 3:] = 1.0, 1.0
    coarse[:, :, 2] = [[0.6], [0.4]]
    labels = dense_crf(image, coarse * 3).argmax(0)
    assert (labels == (np.arange(60) >= 24)).all()


def test_zero_iterations_return_the_clipped_softmax_of_the_upsampled_scores():
    scores = logits(3, 4, 5)
    expected = upsampled(scores, 20, 30).softmax(0).numpy()
    np.testing.assert_allclose(dense_crf(blobs(20, 30), scores, 0), expected, atol=1e-6)


def test_zero_weights_keep_the_unary():
    probability = probabilities(3, 16, 16)
    config = CRFConfig(gaussian_compat=0.0, bilateral_compat=0.0)
    torch.testing.assert_close(
        mean_field(torch.from_numpy(blobs(16, 16)), probability, config), probability
    )


def test_iterations_argument_goes_before_the_configuration():
    image, scores = blobs(20, 20), logits(3, 20, 20)
    three = dense_crf(image, scores, config=CRFConfig(iterations=3))
    assert np.array_equal(dense_crf(image, scores, 3), three)
    assert np.array_equal(dense_crf(image, scores, 3, CRFConfig(iterations=7)), three)
    assert np.array_equal(dense_crf(image, scores), dense_crf(image, scores, iterations=10))
    assert not np.array_equal(dense_crf(image, scores), three)


@settings(max_examples=25, deadline=None)
@given(
    labels=st.integers(1, 10),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    scale=st.sampled_from([0.1, 3.0, 1e4]),
    seed=st.integers(0, 9999),
)
def test_posterior_is_a_distribution(labels, height, width, scale, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    posterior = dense_crf(image, logits(labels, 3, 2, seed) * scale)
    assert posterior.shape == (labels, height, width)
    assert posterior.dtype == np.float32
    assert posterior.min() >= 0
    np.testing.assert_allclose(posterior.sum(0), 1.0, atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 9999))
def test_labels_permute_with_the_scores(seed):
    image, scores = blobs(24, 18, seed), logits(5, 24, 18, seed)
    order = np.random.default_rng(seed).permutation(5)
    np.testing.assert_allclose(
        dense_crf(image, scores[order], 5), dense_crf(image, scores, 5)[order], atol=1e-3
    )


def test_constant_image_and_scores_stay_constant():
    image = np.full((15, 11, 3), 77, np.uint8)
    posterior = dense_crf(image, np.array([0.0, 1.0, 0.5], np.float32).reshape(3, 1, 1))
    assert (posterior.argmax(0) == 1).all()
    assert (posterior[1] > np.exp(1) / (1 + np.exp(1) + np.exp(0.5))).all()
    assert np.array_equal(
        dense_crf(image, np.zeros((4, 1, 1))), np.full((4, 15, 11), 0.25, np.float32)
    )


def test_single_label_is_certain():
    assert np.array_equal(dense_crf(blobs(9, 7), logits(1, 3, 3)), np.ones((1, 9, 7), np.float32))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 17), (17, 1), (2, 2)])
def test_degenerate_sizes_strengthen_the_winner(height, width):
    image = np.full((height, width, 3), 128, np.uint8)
    scores = np.stack([np.full((height, width), 2.0), np.zeros((height, width))])
    posterior = dense_crf(image, scores)
    assert posterior.shape == (2, height, width)
    assert (posterior[0] > np.exp(2) / (np.exp(2) + 1)).all()


def test_batch_equals_loop_bit_for_bit():
    images = torch.from_numpy(np.stack([blobs(30, 21, seed) for seed in range(3)]))
    probability = torch.stack([probabilities(6, 30, 21, seed) for seed in range(3)])
    batch = mean_field_batch(images, probability)
    assert batch.is_contiguous()
    for index in range(3):
        assert torch.equal(batch[index], mean_field(images[index], probability[index]))


def test_images_with_different_numbers_of_labels_equal_a_loop_bit_for_bit():
    images = torch.from_numpy(np.stack([blobs(30, 21, seed) for seed in range(3)]))
    # what lies beyond an image's own labels does not count
    probability, labels = torch.rand(3, 8, 30, 21), (5, 8, 1)
    for index, count in enumerate(labels):
        probability[index, :count] = probabilities(count, 30, 21, index)
    batch = mean_field_batch(images, probability, labels=labels)
    for index, count in enumerate(labels):
        assert torch.equal(
            batch[index, :count], mean_field(images[index], probability[index, :count])
        )
        assert not batch[index, count:].any()


@pytest.mark.parametrize("labels", [(1,), (0, 1), (3, 1)])
def test_wrong_numbers_of_labels_are_refused(labels):
    images, probability = torch.zeros(2, 4, 4, 3, dtype=torch.uint8), torch.full((2, 2, 4, 4), 0.5)
    with pytest.raises(
        ConfigError, match="Expected a number of labels from 1 to 2 for each of 2 image"
    ):
        mean_field_batch(images, probability, labels=labels)


def test_repeated_runs_are_bit_equal_on_any_number_of_threads():
    image, probability = torch.from_numpy(blobs(100, 100)), probabilities(9, 100, 100)
    first = mean_field(image, probability)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            assert torch.equal(mean_field(image, probability), first)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    "dtype", [np.float64, np.float16, np.uint8, np.uint16, np.int64, np.bool_, ">f4"]
)
def test_dtype_of_scores_does_not_matter(dtype):
    image, scores = blobs(20, 16), np.random.default_rng(0).integers(0, 2, (3, 10, 8))
    expected = dense_crf(image, scores.astype(np.float32))
    posterior = dense_crf(image, scores.astype(dtype))
    assert posterior.dtype == np.float32
    assert np.array_equal(posterior, expected)


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int32, torch.uint8]
)
def test_kind_of_the_result_is_that_of_the_scores(dtype):
    image, scores = blobs(20, 16), np.random.default_rng(0).integers(0, 2, (3, 10, 8))
    expected = dense_crf(image, scores)
    assert isinstance(expected, np.ndarray)
    for picture in (image, torch.from_numpy(image)):
        posterior = dense_crf(picture, torch.from_numpy(scores).to(dtype))
        assert isinstance(posterior, torch.Tensor)
        assert posterior.dtype == torch.float32
        assert np.array_equal(posterior.numpy(), expected)


def test_layout_of_the_arrays_does_not_matter():
    image, scores = blobs(20, 16), logits(3, 20, 16)
    expected = dense_crf(image, scores)
    frozen = image.copy()
    frozen.flags.writeable = False
    assert np.array_equal(dense_crf(frozen, scores), expected)
    assert np.array_equal(dense_crf(np.asfortranarray(image), np.asfortranarray(scores)), expected)
    assert np.array_equal(
        dense_crf(image[::-1, ::-1], scores[:, ::-1, ::-1]), dense_crf(*flipped(image, scores))
    )


def flipped(image: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return image[::-1, ::-1].copy(), scores[:, ::-1, ::-1].copy()


def test_arguments_are_left_alone_and_carry_no_gradient():
    image, scores = (
        torch.from_numpy(blobs(12, 12)),
        torch.from_numpy(logits(3, 12, 12)).requires_grad_(),
    )
    before = scores.detach().clone()
    posterior = dense_crf(image, scores)
    assert not posterior.requires_grad
    assert torch.equal(scores.detach(), before)
    probability = probabilities(3, 12, 12)
    kept = probability.clone()
    mean_field(image, probability)
    assert torch.equal(probability, kept)


def test_tiny_probabilities_are_clipped():
    probability = torch.zeros(2, 8, 8)
    probability[0] = 1.0
    image = torch.from_numpy(blobs(8, 8))
    posterior = mean_field(image, probability)
    assert posterior.isfinite().all()
    assert (posterior[1] > 0).all()


GOOD_IMAGE, GOOD_SCORES = np.zeros((6, 5, 3), np.uint8), np.zeros((2, 3, 3), np.float32)


@pytest.mark.parametrize(
    ("image", "scores", "message"),
    [
        (GOOD_IMAGE[..., :2], GOOD_SCORES, r"image of shape \(H, W, 3\).* but got \(6, 5, 2\)"),
        (GOOD_IMAGE[:0], GOOD_SCORES, r"image of shape \(H, W, 3\).* but got \(0, 5, 3\)"),
        (GOOD_IMAGE.astype(np.int32), GOOD_SCORES, r"image of uint8 values.* but got int32"),
        ([[0]], GOOD_SCORES, "Expected an image: .* but got list"),
        (GOOD_IMAGE, "scores", "scores to be a numpy array or a torch tensor, but got str"),
        (GOOD_IMAGE, GOOD_SCORES[0], r"scores to be of shape \(M, h, w\).* but got \(3, 3\)"),
        (GOOD_IMAGE, GOOD_SCORES[:0], r"scores to be of shape \(M, h, w\).* but got \(0, 3, 3\)"),
        (GOOD_IMAGE, GOOD_SCORES + np.nan, "scores to be finite"),
        (GOOD_IMAGE, GOOD_SCORES - np.inf, "Clip log-probabilities"),
        (GOOD_IMAGE, np.full((2, 3, 3), 1e300), "scores to be finite in float32"),
        (
            GOOD_IMAGE,
            GOOD_SCORES.astype(np.complex64),
            "scores to hold real numbers, but got dtype complex64",
        ),
        (
            GOOD_IMAGE,
            torch.zeros(2, 3, 3, dtype=torch.complex64),
            r"scores to be real numbers, but got torch\.complex64",
        ),
        (
            GOOD_IMAGE,
            GOOD_SCORES.astype(object),
            "scores to hold real numbers, but got dtype object",
        ),
    ],
)
def test_wrong_arguments_are_named(image, scores, message):
    with pytest.raises(PrimapsError, match=message):
        dense_crf(image, scores)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (CRFConfig(iterations=-1), "Expected iterations to be 0 or more, but got -1"),
        (CRFConfig(gaussian_sxy=0.0), "Expected gaussian_sxy to be a positive number, but got 0.0"),
        (
            CRFConfig(bilateral_sxy=float("nan")),
            "Expected bilateral_sxy to be a positive number, but got nan",
        ),
        (
            CRFConfig(bilateral_srgb=float("inf")),
            "Expected bilateral_srgb to be a positive number, but got inf",
        ),
        (
            CRFConfig(gaussian_compat=float("inf")),
            "Expected gaussian_compat to be a finite number, but got inf",
        ),
        (CRFConfig(gaussian_sxy=1e-20), "Choose larger standard deviations"),
    ],
)
def test_wrong_settings_are_named(config, message):
    with pytest.raises(ConfigError, match=message):
        dense_crf(GOOD_IMAGE, GOOD_SCORES, config=config)


@pytest.mark.parametrize(
    ("probability", "message"),
    [
        (torch.zeros(2, 5, 6), r"shape \(M, 6, 5\) per image with M > 0, but got \(2, 5, 6\)"),
        (torch.zeros(0, 6, 5), r"but got \(0, 6, 5\)"),
        (
            torch.zeros(2, 6, 5, dtype=torch.int64),
            r"floating-point probabilities on cpu, but got torch\.int64 on cpu",
        ),
        (torch.full((2, 6, 5), torch.nan), "between 0 and 1, but got NaN"),
    ],
)
def test_wrong_probabilities_are_named(probability, message):
    with pytest.raises(ConfigError, match=message):
        mean_field(torch.from_numpy(GOOD_IMAGE), probability)


def test_official_uint8_lowers_some_grey_levels_by_one():
    levels = np.arange(256, dtype=np.uint8)[:, None, None].repeat(3, 2)
    lowered = levels.astype(int) - official_uint8(levels)
    assert set(np.unique(lowered)) == {0, 1}
    assert lowered[0].sum() == 0
    assert round(float(lowered.mean()), 2) == 0.18


def test_official_uint8_equals_the_torchvision_round_trip():
    transforms = pytest.importorskip(
        "torchvision.transforms.v2.functional", reason="needs torchvision"
    )
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    normalized = transforms.normalize(
        torch.from_numpy(image).permute(2, 0, 1) / 255, mean.tolist(), std.tolist()
    )
    restored = np.array(
        transforms.to_pil_image(normalized * std[:, None, None] + mean[:, None, None])
    )
    assert np.array_equal(official_uint8(image), restored)
    as_tensor = official_uint8(torch.from_numpy(image))
    assert isinstance(as_tensor, torch.Tensor)
    assert np.array_equal(as_tensor.numpy(), restored)


def test_official_uint8_refuses_float_images():
    with pytest.raises(ConfigError, match="dtype uint8"):
        official_uint8(np.zeros((4, 4, 3), np.float32))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("place", [(0, 0, 0), (1, 3, 2), (1, 5, 4)])
def test_a_single_nan_among_probabilities_is_refused(dtype, place):
    given = torch.full((2, 6, 5), 0.5, dtype=dtype)
    given[place] = torch.nan
    with pytest.raises(ConfigError, match="between 0 and 1, but got NaN"):
        mean_field(torch.zeros(6, 5, 3, dtype=torch.uint8), given)


def test_a_path_is_compiled_or_plain_as_was_asked(path):
    chosen = PATHS.on(torch.device("cpu"))
    assert chosen is (plain if path == "plain" else compiled)
    assert PATHS.on(torch.device("cuda")) is plain


def test_the_backend_says_where_machine_code_is_kept(monkeypatch):
    words = describe_backend()
    assert words.startswith("compiled by numba ")
    assert "machine code kept in" in words
    monkeypatch.setattr(compiled, "cache_folder", lambda: None)
    assert "no folder for machine code can be written" in describe_backend()


def test_without_numba_the_backend_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr(crf, "PATHS", Twins[MeanField](plain, PATHS._load, "The dense CRF runs"))
    with pytest.warns(UserWarning, match="several times slower on CPUs: numba does not work here"):
        words = describe_backend()
    assert words.startswith("torch, several times slower")


def test_images_too_large_for_the_compiled_loops_are_done_in_torch(monkeypatch):
    image, probability = torch.from_numpy(blobs(20, 20)), probabilities(3, 20, 20)
    with PATHS.plain_only():
        expected = mean_field(image, probability)
    monkeypatch.setattr(compiled, "fits", lambda _: False)
    assert torch.equal(mean_field(image, probability), expected)
