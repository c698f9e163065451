from pathlib import Path

import pytest

from primaps.runs.swapping import begin_swap, end_swap, finish_swap, pending_swap

NAMES = ("model", "labels", "names.yaml", "only-inside", "only-other", "nowhere")


@pytest.fixture
def folders(tmp_path):
    """A folder and another one below it, and the plan."""
    inside, other = tmp_path / "run", tmp_path / "run" / "candidates" / "1"
    for folder, word in ((inside, "old"), (other, "new")):
        for name in ("model", "labels"):
            (folder / name).mkdir(parents=True)
            (folder / name / "file").write_text(word)
        (folder / "names.yaml").write_text(word)
    (inside / "only-inside").write_text("old")
    (other / "only-other").write_text("new")
    return inside, other, tmp_path / "run" / "candidates" / "swap.json"


def state(folder):
    found = {}
    for name in NAMES:
        path = folder / name
        if path.exists():
            found[name] = (path / "file" if path.is_dir() else path).read_text()
    return found


def check(inside, other):
    assert state(inside) == dict.fromkeys(("model", "labels", "names.yaml", "only-other"), "new")
    assert state(other) == dict.fromkeys(("model", "labels", "names.yaml", "only-inside"), "old")


def test_everything_changes_places(folders):
    inside, other, plan = folders
    swap = begin_swap(plan, inside, other, NAMES, {"a": 1})
    assert pending_swap(plan) == swap
    finish_swap(plan, swap)
    check(inside, other)
    assert pending_swap(plan).facts == {"a": 1}
    end_swap(plan)
    assert pending_swap(plan) is None
    assert sorted(path.name for path in plan.parent.iterdir()) == ["1"]


@pytest.mark.parametrize("moves", range(9))
def test_a_killed_exchange_goes_on_where_it_ended(folders, monkeypatch, moves):
    inside, other, plan = folders
    rename, done = Path.rename, []

    def killed(self, target):
        if self.suffix != ".primaps-tmp":
            if len(done) == moves:
                raise KeyboardInterrupt
            done.append(self)
        return rename(self, target)

    swap = begin_swap(plan, inside, other, NAMES, {})
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        if moves < 12:
            with pytest.raises(KeyboardInterrupt):
                finish_swap(plan, swap)
    finish_swap(plan, pending_swap(plan))
    check(inside, other)
    finish_swap(plan, pending_swap(plan))  # once more does no harm
    check(inside, other)


def test_the_folder_may_have_moved_meanwhile(folders, tmp_path):
    inside, other, plan = folders
    begin_swap(plan, inside, other, NAMES, {})
    inside.rename(tmp_path / "elsewhere")
    plan = tmp_path / "elsewhere" / "candidates" / "swap.json"
    finish_swap(plan, pending_swap(plan))
    check(tmp_path / "elsewhere", tmp_path / "elsewhere" / "candidates" / "1")
