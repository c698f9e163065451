import subprocess
import sys

import pytest

import primaps

HEAVY = ("torch", "timm", "torchvision", "matplotlib", "PIL", "scipy", "numba", "gradio", "ray")


@pytest.mark.parametrize(
    "statement",
    ["import primaps", "from primaps.cli import app", "import primaps.features.registry"],
)
def test_imports_stay_light(statement):
    code = f"import sys; {statement}; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_every_public_name_loads():
    for name in primaps.__all__:
        assert getattr(primaps, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="segmentor"):
        _ = primaps.segmentor


def test_the_version_is_a_public_name():
    assert primaps.__version__ == primaps.version.__version__
    assert "__version__" in dir(primaps)
