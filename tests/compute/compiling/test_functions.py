import os
import subprocess
import sys
import threading

import numba
import numpy as np
import pytest

from primaps.compute.compiling.functions import compiled

SOURCE = """
import numpy as np
from primaps.compute.compiling.functions import compiled

@compiled
def total(values, lanes):
    \"\"\"Sum times the number of lanes.\"\"\"
    result = 0.0
    for value in values:
        result += value * len(lanes)
    return result

if __name__ == "__main__":
    print(total(np.arange(5.0), (0, 0)), total(np.arange(5.0), (0, 0, 0)))
    hits = [sum(variant.stats.cache_hits.values()) for variant in total._variants.values()]
    print(sum(hits), total.folder)
"""


def run(path, **environment):
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": "",
        **{name: str(value) for name, value in environment.items()},
    }
    result = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, env=environment, check=True
    )
    values, state = result.stdout.splitlines()
    assert values == "20.0 30.0"
    hits, folder = state.split(" ", 1)
    return int(hits), folder


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "package" / "loops.py"
    path.parent.mkdir()
    path.write_text(SOURCE)
    return path


def test_machine_code_is_kept_beside_the_source(module):
    folder = str(module.parent / "__pycache__")
    assert run(module) == (0, folder)
    assert run(module) == (2, folder)


def test_variants_have_index_files_of_their_own(module):
    run(module)
    assert len(list(module.parent.rglob("*.nbi"))) == 2
    assert len(list(module.parent.rglob("*.1.nbc"))) == 2
    assert len(list(module.parent.rglob("*.nbc"))) == 2


def test_a_function_inlined_from_a_module_beside_is_followed(module):
    """Its own module stays as it is when the other one changes."""
    module.write_text(
        SOURCE.replace("import compiled", "import compiled\nfrom inner import weigh").replace(
            "value * len(lanes)", "weigh(value, len(lanes))"
        )
    )
    inner = module.parent / "inner.py"
    inner.write_text(
        "from primaps.compute.compiling.functions import inlined\n\n"
        "@inlined\ndef weigh(value, count):\n    return value * count\n"
    )
    hits = [run(module)[0] for _ in "ab"]
    inner.write_text(inner.read_text().replace("value * count", "count * value"))
    assert [*hits, run(module)[0], run(module)[0]] == [0, 2, 0, 2]


def test_users_cache_folder_serves_where_the_package_cannot_be_written(module, tmp_path):
    (module.parent / "__pycache__").touch()  # a file cannot become a folder, whoever runs this
    home = tmp_path / "home"
    for hits in (0, 2):
        found, folder = run(module, HOME=home, XDG_CACHE_HOME=home, LOCALAPPDATA=home)
        assert found == hits
        assert folder.startswith(str(home))


def test_nothing_can_be_written(module, tmp_path):
    (module.parent / "__pycache__").touch()
    nowhere = tmp_path / "file"
    nowhere.touch()
    for _ in range(2):
        assert run(module, HOME=nowhere, XDG_CACHE_HOME=nowhere, LOCALAPPDATA=nowhere) == (
            0,
            "None",
        )


def emptied(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[:-100] if path.stat().st_size > 200 else b"x")


def one_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


def unreadable(path):
    path.unlink()
    path.mkdir()  # whoever runs this: opening it is an error of the system


@pytest.mark.parametrize("damage", [emptied, cut, one_bit, unreadable])
@pytest.mark.parametrize("suffix", [".nbi", ".nbc", ".sha256"])
def test_damaged_machine_code_is_a_miss(module, damage, suffix):
    run(module)
    damaged = sorted((module.parent / "__pycache__").glob(f"*{suffix}"))
    assert len(damaged) == 2
    for path in damaged:
        damage(path)
    assert run(module)[0] == 0
    if damage is not unreadable:
        assert run(module)[0] == 2


def test_a_full_disk_is_no_obstacle(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(numba.core.caching.FunctionCache, "save_overload", full)

    @compiled
    def double(value):
        return 2 * value

    assert [double(2), double(3)] == [4, 6]


def test_errors_of_the_loops_come_through():
    @compiled
    def fail(value):
        if value > 0:
            raise ValueError("too large")
        return value

    assert fail(-1) == -1
    with pytest.raises(ValueError, match="too large"):
        fail(1)


def test_threads_may_come_first_together():
    @compiled
    def count(values, lanes):
        return values.sum() + len(lanes)

    results = []
    threads = [
        threading.Thread(target=lambda: results.append(count(np.ones(4), (0,) * 3)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [7.0] * 4
    assert len(count._variants) == 1


def test_documentation_stays():
    @compiled
    def documented():
        """Nothing."""

    assert documented.__doc__ == "Nothing."


def test_numba_told_not_to_compile_is_an_import_error():
    code = "import primaps.compute.compiling.functions"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert result.returncode == 1
    assert "ImportError: numba was told not to compile" in result.stderr


def test_compilation_is_told_before_it_happens_and_only_if_it_does(module):
    module.write_text(
        SOURCE.split("if __name__", maxsplit=1)[0]
        + "from primaps.compute.compiling.announcing import compilation_told_to\n"
        + "with compilation_told_to(print):\n    print(total(np.arange(5.0), (0, 0)))\n"
    )
    command = [sys.executable, str(module)]
    environment = {**os.environ, "NUMBA_CACHE_DIR": ""}
    first, second = (
        subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout
        for _ in "ab"
    )
    assert first.splitlines() == [
        "Compiling loops for this machine, once: about 15 s over the whole job.",
        "20.0",
    ]
    assert second == "20.0\n"
