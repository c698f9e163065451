"""Help pages: two examples on each, no types where an option takes none."""

from __future__ import annotations

from typing import Any, Final

from typer.core import TyperCommand, TyperGroup

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "segment": (
        "primaps segment ~/photos --out run",
        "primaps segment ~/photos '~/more [2023]/*.png' --out run --classes auto --overlays",
    ),
    "proposals": (
        "primaps proposals ~/photos --out run",
        "primaps proposals street.jpg --steps",
    ),
    "fit": (
        "primaps fit run --classes 20 --seed 1 --model other-model",
        "primaps fit run --with names",
    ),
    "predict": (
        "primaps predict new-photos --model run --out new",
        "primaps predict --stored run --model other-model --out other",
    ),
    "classes": (
        "primaps classes run --name 3=road --merge 4,7=building --ignore 9",
        "primaps classes run --cut 8",
    ),
    "suggest": ("primaps suggest run --groups 15", "primaps suggest run --read"),
    "corrections": (
        "primaps corrections run --add street.jpg:7=road",
        "primaps corrections run --from-export dataset",
    ),
    "accept": ("primaps accept run 1", "primaps accept run --back"),
    "studio": ("primaps studio run", "primaps studio run --no-browser --port 8800"),
    "report": ("primaps report run", "primaps report run --images ~/moved-photos"),
    "export": (
        "primaps export run --format coco --out dataset --split .8,.1,.1",
        "primaps export run --format onnx --out portable",
    ),
    "evaluate": (
        "primaps evaluate --model run --dataset camvid --root CamVid --split val",
        "primaps evaluate --model run --dataset folder --root labelled --by-name",
    ),
    "check": (
        "primaps check camvid --root CamVid",
        "primaps check folder --root labelled --json found.json",
    ),
    "demo": ("primaps demo", "primaps demo --backbone mini --out demo-mini"),
    "benchmark": (
        "primaps benchmark --dataset camvid --root CamVid --backbone dino_vits8 --seeds 3",
        "primaps benchmark --table benchmark-one benchmark-two",
    ),
    "list": ("primaps list", "primaps list | grep dino"),
    "doctor": (
        "primaps doctor",
        "primaps doctor run --fix",
        "primaps doctor --backbone dinov2_vits14",
    ),
    "head stego fit": (
        "primaps head stego fit --images ~/photos --out head",
        "primaps head stego fit --dataset camvid --root CamVid --split train --out head",
    ),
    "head hp fit": (
        "primaps head hp fit --images ~/photos --out head",
        "primaps head hp fit --images ~/photos --backbone dinov2_vits14 --steps 500 --out head",
    ),
    "head import": (
        "primaps head import cityscapes_vit_base_1.ckpt --out head",
        "primaps head import stego.ckpt --kind stego --weights dino.pth --out head",
    ),
}
"""Two or more of each command."""


def _without_flag_types(params: list[Any]) -> list[Any]:
    """Parameters that take no value show no type."""
    for each in params:
        if getattr(each, "is_flag", False) and each.metavar is None:
            each.metavar = ""
    return params


class HelpPage(TyperCommand):
    """A command whose help page ends with examples."""

    def __init__(self, name: str | None, *, help: str | None = None, **settings: Any) -> None:  # noqa: A002
        super().__init__(name, help=help and _in_paragraphs(help), **settings)

    def get_params(self, ctx: Any) -> Any:
        """Its parameters."""
        return _without_flag_types(super().get_params(ctx))


class HelpGroup(TyperGroup):
    """A group of commands."""

    def get_params(self, ctx: Any) -> Any:
        """Its parameters."""
        return _without_flag_types(super().get_params(ctx))


def _in_paragraphs(text: str) -> str:
    """Lines of a docstring joined, for a terminal of any width."""
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def with_examples(command: str) -> dict[str, Any]:
    """What `typer.Typer.command` needs for the help page of a command, named by all its words."""
    return {"cls": HelpPage, "epilog": "\n\n".join(["Examples:", *EXAMPLES[command]])}
