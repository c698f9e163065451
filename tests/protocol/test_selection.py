import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.errors import ConfigError
from primaps.protocol.selection import best, cohens_kappa, last, view_tables
from primaps.prototypes.loop.state import Snapshot
from primaps.types import View

PLAIN, MIRRORED, GREY = View(), View(flip=True), View(photometric=0)


class Features:
    """Random features; each view adds noise of its own."""

    def __init__(self, views=(PLAIN, MIRRORED, GREY), noise=0.5, channels=5):
        self.views = views
        generator = torch.Generator().manual_seed(0)
        self.made = []
        for _ in range(3):
            plain = torch.randn(channels, 4, 6, generator=generator)
            made = {
                view: plain
                + noise * (view != PLAIN) * torch.randn(channels, 4, 6, generator=generator)
                for view in views
            }
            self.made.append(
                {view: value.flip(-1) if view.flip else value for view, value in made.items()}
            )

    def __len__(self):
        return len(self.made)

    def features(self, index, view):
        return self.made[index][view].half()

    def proposals(self, index):
        raise AssertionError("not needed")


def random_teachers(count=3, clusters=4, channels=5):
    return torch.randn(count, clusters, channels, generator=torch.Generator().manual_seed(1))


def snapshot(step):
    return Snapshot(step, torch.zeros(2, 3), torch.zeros(2, 3))


@pytest.mark.parametrize("cosine", [False, True])
def test_tables_count_tokens_by_class_in_two_views(cosine):
    source, teachers = Features(), random_teachers()
    tables = view_tables(source, teachers, cosine=cosine)
    expected = torch.zeros(3, 4, 4, dtype=torch.int64)
    for number, teacher in enumerate(teachers):
        for made in source.made:
            # The norm of a token does not change its class; that of a prototype does, unless
            # cosines are compared.
            weights = torch.nn.functional.normalize(teacher, dim=1) if cosine else teacher
            classes = {
                view: torch.einsum(
                    "kc,chw->khw", weights, (value.flip(-1) if view.flip else value).half().float()
                ).argmax(0)
                for view, value in made.items()
            }
            for view in (MIRRORED, GREY):
                for one, other in zip(
                    classes[PLAIN].flatten().tolist(), classes[view].flatten().tolist(), strict=True
                ):
                    expected[number, one, other] += 1
    assert torch.equal(tables, expected)


def test_equal_views_agree_entirely():
    for table in view_tables(Features(noise=0.0), random_teachers(), cosine=False):
        assert cohens_kappa(table) == 1.0


def test_without_another_view_there_is_nothing_to_compare():
    with pytest.raises(ConfigError, match="Select by last"):
        view_tables(Features(views=(PLAIN,)), random_teachers(), cosine=False)


@settings(deadline=None)  # the first call imports scikit-learn
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=60))
def test_kappa_is_that_of_scikit_learn(pairs):
    metrics = pytest.importorskip("sklearn.metrics")
    table = torch.zeros(4, 4, dtype=torch.int64)
    for one, other in pairs:
        table[one, other] += 1
    ones, others = zip(*pairs, strict=True)
    if len({*ones, *others}) > 1:
        assert cohens_kappa(table) == pytest.approx(metrics.cohen_kappa_score(ones, others))


def test_prototypes_that_put_everything_into_one_class_are_not_stable():
    everything = torch.tensor([[500, 0], [0, 0]])
    noisy = torch.tensor([[200, 50], [50, 200]])
    assert cohens_kappa(everything) == 0.0
    chosen = best(
        [snapshot(1), snapshot(2)], [cohens_kappa(noisy), cohens_kappa(everything)], "agreement"
    )
    assert chosen.snapshot.step == 1


def test_of_equal_candidates_the_one_with_the_most_steps():
    candidates = [snapshot(step) for step in (5, 10, 15)]
    assert best(candidates, [0.5, 0.7, 0.7], "agreement").snapshot.step == 15
    assert best(candidates, [0.8, 0.7, 0.7], "agreement").snapshot.step == 5
    assert last(candidates).snapshot.step == 15


def test_records_say_whether_labels_were_used():
    candidates = [snapshot(5), snapshot(10)]
    assert best(candidates, [0.2, 0.1], "oracle").record() == {
        "select": "oracle",
        "oracle": True,
        "step": 5,
        "candidates": [5, 10],
        "criterion": [0.2, 0.1],
    }
    assert last(candidates).record()["oracle"] is False
