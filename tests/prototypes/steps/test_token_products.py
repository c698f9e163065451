"""Products of prototypes with tokens: against plain autograd, and the same bytes on any number of
threads.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F

from primaps.compute.cores import Workers, one_thread_each
from primaps.errors import ConfigError
from primaps.prototypes.classifier import logits
from primaps.prototypes.steps.token_products import closest_cosines, token_logits


@pytest.fixture
def images():
    """Eleven images of different sizes with 48 channels, in half precision."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(48, 5 + index, 9, generator=generator).half() for index in range(11)]


def start():
    return torch.randn(7, 48, generator=torch.Generator().manual_seed(2)).requires_grad_()


def by_logits(prototypes, images, workers):
    values = token_logits(prototypes, images, workers)
    sum((index + 1) * value.sin().sum() for index, value in enumerate(values)).backward()
    return [value.detach() for value in values]


def by_cosines(prototypes, images, workers):
    value = closest_cosines(F.normalize(prototypes, dim=1), images, workers)
    (-2 * value).backward()
    return [value.detach()]


@pytest.mark.parametrize("work", [by_logits, by_cosines])
def test_one_and_three_threads_give_the_same_bytes(images, work):
    found = []
    with one_thread_each():
        for count in (1, 3):
            with ThreadPoolExecutor(count) as pool:
                prototypes = start()
                values = work(prototypes, images, Workers(None if count == 1 else pool, count))
                found.append([value.numpy().tobytes() for value in (*values, prototypes.grad)])
    assert found[0] == found[1]


def test_logits_and_their_gradient_are_those_of_autograd(images):
    fast, plain = start(), start()
    values = by_logits(fast, images, Workers())
    expected = [logits(image, plain) for image in images]
    sum((index + 1) * value.sin().sum() for index, value in enumerate(expected)).backward()
    for value, wanted in zip(values, expected, strict=True):
        torch.testing.assert_close(value, wanted.detach())
    torch.testing.assert_close(fast.grad, plain.grad, rtol=1e-4, atol=1e-3)


def test_closest_cosines_and_their_gradient_are_those_of_autograd(images):
    fast, plain = start(), start()
    (value,) = by_cosines(fast, images, Workers())
    expected = sum(logits(image, plain, cosine=True).max(0).values.sum() for image in images)
    (-2 * expected).backward()
    torch.testing.assert_close(value, expected.detach(), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(fast.grad, plain.grad, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("product", [token_logits, closest_cosines])
def test_other_channels_are_refused(product):
    with pytest.raises(ConfigError, match="3"):
        product(torch.zeros(2, 4), [torch.zeros(3, 2, 2)], Workers())
