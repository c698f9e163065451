import pytest
import torch
from torchvision.transforms import functional

from primaps.errors import ConfigError
from primaps.features.registry import IMAGENET_MEAN, IMAGENET_STD
from primaps.features.views import _blur, make_views, photometric_view
from primaps.types import View

MEAN = torch.tensor(IMAGENET_MEAN)[:, None, None]
STD = torch.tensor(IMAGENET_STD)[:, None, None]


def image(height=24, width=32):
    colours = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(5))
    return (colours - MEAN) / STD


def view(batch, seed, clamp=False):
    return photometric_view(batch, torch.Generator().manual_seed(seed), clamp)


def kind(batch, seed, clamp=False):
    """What a draw did: "blur" only, "grey" or "jitter"."""
    result = view(batch, seed, clamp)
    # The first uniform number of the generator is the sigma of the blur.
    sigma = 0.1 + 1.9 * float(torch.rand((), generator=torch.Generator().manual_seed(seed)))
    blurred = functional.gaussian_blur(batch, [21, 21], [sigma, sigma])
    if torch.allclose(result, blurred, rtol=0.0, atol=2e-6):
        return "blur"
    values = result if clamp else result * STD + MEAN
    return "grey" if bool((values - values[:, :1]).abs().max() < 1e-5) else "jitter"


@pytest.mark.parametrize("clamp", [False, True])
def test_proportions_of_blur_jitter_and_grey(clamp):
    kinds = [kind(image(12, 12), seed, clamp) for seed in range(1200)]
    assert 0.12 < kinds.count("jitter") / 1200 < 0.18  # 0.5 * 0.3
    assert 0.032 < kinds.count("grey") / 1200 < 0.068  # 0.5 * 0.1


def seed_of(wanted):
    return next(seed for seed in range(500) if kind(image(), seed) == wanted)


def test_clamped_jitter_saturates_normalised_values():
    seed = seed_of("jitter")
    clamped, free = view(image(), seed, clamp=True), view(image(), seed, clamp=False)
    assert float(clamped.min()) >= 0.0
    assert float(clamped.max()) <= 1.0
    assert float(free.min()) < -0.5
    colours = free * STD + MEAN
    assert float(colours.min()) >= -1e-5
    assert float(colours.max()) <= 1 + 1e-5


def test_free_jitter_changes_colours_a_little():
    seed = seed_of("jitter")
    sigma = 0.1 + 1.9 * float(torch.rand((), generator=torch.Generator().manual_seed(seed)))
    before = functional.gaussian_blur(image(), [21, 21], [sigma, sigma]) * STD + MEAN
    change = (view(image(), seed) * STD + MEAN - before).abs().mean()
    assert 0.001 < float(change) < 0.12


def test_grey_uses_itu_weights():
    seed = seed_of("grey")
    sigma = 0.1 + 1.9 * float(torch.rand((), generator=torch.Generator().manual_seed(seed)))
    blurred = functional.gaussian_blur(image(), [21, 21], [sigma, sigma])
    weights = torch.tensor([0.2989, 0.587, 0.114])[:, None, None]
    normalised = (blurred * weights).sum(1, keepdim=True).expand(-1, 3, -1, -1)
    torch.testing.assert_close(view(image(), seed, clamp=True), normalised, atol=1e-5, rtol=0)
    grey = ((blurred * STD + MEAN) * weights).sum(1, keepdim=True)
    torch.testing.assert_close(
        view(image(), seed, clamp=False), (grey - MEAN) / STD, atol=1e-5, rtol=0
    )


def test_randomness_comes_from_the_generator_only():
    torch.manual_seed(0)
    first = view(image(), 3)
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    assert torch.equal(view(image(), 3), first)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.equal(view(image(), 4), first)


def test_each_image_of_a_batch_has_its_own_draw():
    result = view(image().expand(4, -1, -1, -1), 0)
    assert result.shape == (4, 3, 24, 32)
    assert not torch.equal(result[0], result[1])


@pytest.mark.parametrize("size", [(24, 32), (11, 40), (10, 11), (2, 5)])
@pytest.mark.parametrize("seed", range(4))
def test_blur_equals_a_dense_convolution(size, seed):
    sigma = 0.1 + 1.9 * float(torch.rand((), generator=torch.Generator().manual_seed(seed)))
    expected = functional.gaussian_blur(
        image(*size), [min(21, 2 * side - 1) for side in size[::-1]], [sigma, sigma]
    )
    torch.testing.assert_close(_blur(image(*size), sigma), expected, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (1, 40), (10, 11)])
def test_small_images_are_blurred_with_a_smaller_kernel(size):
    result = view(image(*size), 1)
    assert result.shape == (1, 3, *size)
    assert bool(result.isfinite().all())


ALL = (
    View(),
    View(flip=True),
    View(photometric=0),
    View(flip=True, photometric=0),
    View(photometric=1),
)


def views(which, seed=7):
    return make_views(
        image(), which, seed, clamp_jitter=False, mean=IMAGENET_MEAN, std=IMAGENET_STD
    )


def test_plain_and_mirrored_views():
    made = views(ALL)
    assert made.shape == (5, 3, 24, 32)
    assert torch.equal(made[0], image()[0])
    assert torch.equal(made[1], image()[0].flip(-1))


def test_a_view_does_not_depend_on_the_others():
    together = views(ALL)
    for index, one in enumerate(ALL):
        assert torch.equal(views([one])[0], together[index])
    assert torch.equal(views(ALL[::-1]).flip(0), together)


def test_draws_differ_by_number_mirroring_and_seed():
    made = views(ALL)
    assert not torch.equal(made[2], made[4])
    assert not torch.equal(made[3].flip(-1), made[2])
    assert not torch.equal(views([View(photometric=0)], seed=8)[0], made[2])


@pytest.mark.parametrize(
    "batch",
    [torch.zeros(2, 3, 8, 8), torch.zeros(3, 8, 8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)],
)
def test_other_batches_are_refused(batch):
    with pytest.raises(ConfigError, match=r"Expected .* but got"):
        make_views(batch, [View()], 0, clamp_jitter=False, mean=IMAGENET_MEAN, std=IMAGENET_STD)


def test_no_views_are_refused():
    with pytest.raises(ConfigError, match="at least one view"):
        views([])
