"""Are the weights of a backbone whole, are they its own, and does the network compute with them
what its authors published?

Checksum, keys and shapes are compared with what the registry knows; then features of one photograph
with those of the same network written down a second time (`primaps.features.plain`), on the CPU.
The second network reads the file by itself, so that it also finds tensors that loading has put into
the wrong place. Tensors that are exchanged in the file itself only its checksum can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import torch
from torch.nn import functional as F

from primaps.data.demo_views import SOURCES, photographs
from primaps.data.reading import read_image
from primaps.errors import BackboneError, ConfigError
from primaps.features.backbone import load_plain_backbone
from primaps.features.extractor import FrozenBackbone
from primaps.features.hub_files import known_checksum
from primaps.features.plain.efficientnet import efficientnet_features
from primaps.features.plain.vit import vit_features
from primaps.features.registry import BackboneSpec, find_spec
from primaps.features.timm_loading import check_keys, hub_weights
from primaps.features.weight_packages import installed_file
from primaps.features.weights import State, file_sha256, layout_name, read_weights
from primaps.pipeline.verifying.findings import Finding, Findings

TOLERANCE: Final = 1e-3
"""Largest difference of two features, as a share of the largest feature."""
LEAST_COSINE: Final = 0.9999
"""Smallest cosine of the two vectors of one token."""
SIZE: Final = 224
"""Short side of the photograph, in pixels: no square, so that positions are resampled."""
_PERIODS: Final = "rope_embed.periods"
_PERIODS_TOLERANCE: Final = 2.0**-8
"""Relative; the official files hold periods that were rounded to bfloat16."""

Plain = Callable[[Mapping[str, torch.Tensor], torch.Tensor], torch.Tensor]


def verify_backbone(name: str, weights: Path | None = None) -> Findings:
    """Check the weights of a backbone.

    Args:
        name: Its name; one with a network.
        weights: Its weights file; None = that of the package, or of the hub, downloaded if it is
            not there yet.

    Raises:
        BackboneError: If the name is unknown, or the weights cannot be had.
        ConfigError: If the backbone has no weights file to check.
        MissingExtraError: If the weights come in a package that is not installed, or the photograph
            is not installed.
        OutputError: If weights from the hub cannot be written.
    """
    spec = find_spec(name)
    if spec.implementation != "timm":
        raise ConfigError(
            "Expected a backbone of timm's (DINO, DINOv2, DINOv3, EfficientNet-Lite, timm:...), but"
            f" {name!r} has no weights file of a kind that is known here. `primaps doctor` without"
            " --backbone tries the installation."
        )
    (photograph,) = photographs(SOURCES[:1]).values()
    path, came = _weights_file(spec, weights)
    checksum = file_sha256(path)
    findings = [_checksum(spec, path, checksum, given=weights is not None)]
    try:
        state = read_weights(path)
        findings.append(Finding("layout", layout_name(state), "a known one", "ok"))
        findings += _keys(spec, path, state)
        if all(each.verdict == "ok" for each in findings[1:]):
            findings += _features(spec, path, state, photograph)
    except BackboneError as error:
        findings.append(Finding("reading", str(error), "tensors of this network", "not ok"))
    return Findings(name, path, came, checksum, tuple(findings))


def _weights_file(spec: BackboneSpec, weights: Path | None) -> tuple[Path, str]:
    """The file, and where it came from."""
    if weights is not None:
        path = weights.expanduser()
        if not path.is_file():
            raise BackboneError(f"Expected a weights file, but {path} does not exist.")
        return path, "Given"
    if spec.package is not None:
        return installed_file(spec.package, spec.name), f"From the package {spec.package.name}"
    return hub_weights(spec), "From the Hugging Face hub"


def _checksum(spec: BackboneSpec, path: Path, found: str, *, given: bool) -> Finding:
    """Known of packages and of the hub; of DINOv3 the name of the file tells how it starts."""
    known, source = None, ""
    if not given:
        known, source = known_checksum(path), "the hub"
        if spec.package is not None:
            known, source = spec.package.sha256, "the registry"
    elif spec.package is not None and path.name == Path(spec.package.file).name:
        known, source = spec.package.sha256, "the registry"
    elif path.name == spec.file_name and "-" in spec.file_name:
        known, source = path.stem.rpartition("-")[2], "its name"
    if known is None:
        return Finding("checksum", f"{found[:12]}...", "none is known here", "not known")
    expected = f"{known[:12]}{'...' if len(known) > 12 else ''} ({source})"
    verdict = found.startswith(known)
    return Finding("checksum", f"{found[:12]}...", expected, "ok" if verdict else "not ok")


def _keys(spec: BackboneSpec, path: Path, state: State) -> list[Finding]:
    check = check_keys(spec, path, state)
    there = check.expected - len(check.missing)
    names = [
        f"{there} of {check.expected}",
        f"missing {', '.join(check.missing[:2])}" if check.missing else "",
        f"unexpected {', '.join(check.unexpected[:2])}" if check.unexpected else "",
    ]
    same = not (check.missing or check.unexpected)
    shapes = "; ".join(check.shapes[:2]) if check.shapes else "the same"
    return [
        Finding(
            "keys",
            "; ".join(filter(None, names)),
            f"{check.expected}, no others",
            "ok" if same else "not ok",
        ),
        Finding("shapes", shapes, "the same", "not ok" if check.shapes else "ok"),
    ]


def _features(spec: BackboneSpec, path: Path, state: State, photograph: Path) -> list[Finding]:
    backbone = load_plain_backbone(spec.name, weights=path, device="cpu")
    batch = backbone.preprocess(read_image(photograph), SIZE)
    features = backbone.forward(batch)
    finite = bool(torch.isfinite(features).all())
    findings = [
        Finding("photograph", photograph.name, "finite features", "ok" if finite else "not ok")
    ]
    if _PERIODS in state:
        findings.append(_periods(state[_PERIODS]))
    plain = _plain(spec)
    if plain is None:
        words = "this network is not written down twice"
        return [*findings, Finding("features", words, "those of a plain network", "not known")]
    with torch.inference_mode():
        expected = plain(state, batch)
    return findings + _compared(backbone, features, expected)


def _plain(spec: BackboneSpec) -> Plain | None:
    if not spec.dim:  # timm:..., or registered by a user: any network
        return None
    if spec.name.startswith("dino"):
        return vit_features
    return efficientnet_features if spec.name.startswith("efficientnet_lite") else None


def _compared(
    backbone: FrozenBackbone, features: torch.Tensor, expected: torch.Tensor
) -> list[Finding]:
    shape, wanted = (" x ".join(map(str, each.shape[1:])) for each in (features, expected))
    if shape != wanted:
        return [Finding("features", shape, f"{wanted} of a plain {backbone.name}", "not ok")]
    difference = float((features - expected).abs().max() / expected.abs().max())
    cosine = float(F.cosine_similarity(features, expected, dim=1).min())
    return [
        Finding("features", shape, wanted, "ok"),
        Finding(
            "  difference",
            f"{difference:.1e} of the largest",
            f"at most {TOLERANCE:g}",
            "ok" if difference <= TOLERANCE else "not ok",
        ),
        Finding(
            "  least cosine",
            f"{cosine:.6f}",
            f"at least {LEAST_COSINE:g}",
            "ok" if cosine >= LEAST_COSINE else "not ok",
        ),
    ]


def _periods(found: torch.Tensor) -> Finding:
    """The constants of DINOv3's rotary positions, which are computed and not read."""
    expected = 100.0 ** torch.linspace(0, 1, len(found) + 1)[:-1]
    difference = float((found.float() / expected - 1).abs().max())
    return Finding(
        "periods",
        f"{difference:.1e} from computed ones",
        f"at most {_PERIODS_TOLERANCE:.1e}",
        "ok" if difference <= _PERIODS_TOLERANCE else "not ok",
    )
