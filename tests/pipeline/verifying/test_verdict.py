from pathlib import Path

from primaps.pipeline.verifying import Fault, Verdict


def verdict(*faults):
    return Verdict(Path("run"), "run", 12, faults, (), "primaps segment")


def test_sound():
    assert verdict().sound
    assert verdict().text() == "run: a run, 12 files looked into.\nAll is sound."
    assert verdict(Fault(".a.primaps-tmp", "was left", "nothing").gone()).sound
    assert not verdict(Fault(".a.primaps-tmp", "was left", "nothing")).sound


def test_what_is_removed_is_still_to_be_made_again():
    torn = Fault("labels/a.png", "cannot be read", "label maps")
    assert torn.removable
    found = verdict(torn.gone(), Fault("store/b.safetensors", "is missing", "proposals", False))
    assert not found.sound
    last = "features and proposals (1), label maps and certainties (1), by primaps segment"
    assert found.text().splitlines()[1:] == [
        "Faults: 1",
        "  store/b.safetensors: is missing",
        "Removed: 1",
        "  labels/a.png: cannot be read",
        f"To be made again: {last}",
    ]


def test_what_no_command_makes_again_is_a_persons_matter():
    typed = Fault("classes.yaml", "line 3: Expected YAML")
    assert not typed.removable
    assert "No command makes 1 of these again" in verdict(typed).text()
    assert "--fix" not in verdict(typed).text()


def test_many_faults_are_counted():
    faults = [Fault(f"labels/{index:02}.png", "is torn", "label maps") for index in range(25)]
    text = verdict(*faults).text()
    assert "labels/19.png" in text
    assert "labels/20.png" not in text
    assert "... and 5 more" in text
    assert "primaps doctor --fix removes" in text
