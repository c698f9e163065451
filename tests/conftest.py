"""Fixtures for the whole suite."""

import dataclasses
import importlib.util
import logging
import os
import secrets
import struct
import sys
import types
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from primaps.config import preset_config
from primaps.progress import Silent

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared():
    """The development data beside the project."""
    if not SHARED.is_dir():
        pytest.skip("the development data (../shared) is not on this machine")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def own_cache_folder(tmp_path_factory):
    """What the command line remembers between jobs stays out of the user's folders."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
            patch.setenv(variable, str(tmp_path_factory.mktemp("cache")))
        yield


def module_beside_tests(name, path):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def trees():
    """The module that writes miniature data sets: `tests/data/trees.py`."""
    return module_beside_tests("trees", "data/trees.py")


@pytest.fixture(scope="session")
def odd_files():
    """The module that writes image files of rare kinds: `tests/data/odd_files.py`."""
    return module_beside_tests("odd_files", "data/odd_files.py")


@pytest.fixture(scope="session")
def drawn():
    """The module that draws images and exports them: `tests/outputs/export/drawn.py`."""
    return module_beside_tests("drawn", "outputs/export/drawn.py")


@pytest.fixture(scope="session")
def pack():
    """``pack(run, place, inputs, size)``: outputs as shards, `tests/shards/packing.py`."""
    return module_beside_tests("packing", "shards/packing.py").pack


@pytest.fixture(scope="session")
def official_weights():
    """The module that draws random weights in official layouts: `tests/official_weights.py`."""
    return module_beside_tests("official_weights", "official_weights.py")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A stand-in for the Hugging Face hub, `tests/hub_stand_in.py`, which everything is asked of;
    with a cache of its own.
    """
    from huggingface_hub import constants

    from primaps.features import hub as reachable

    stand_in = module_beside_tests("hub_stand_in", "hub_stand_in.py")
    with stand_in.running_hub() as running:
        template = running.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", running.endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # a protocol of its own
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr(reachable, "getproxies", dict)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.delenv(variable, raising=False)
            monkeypatch.delenv(variable.lower(), raising=False)
        yield running


@pytest.fixture(scope="session")
def s3_server():
    """URL of an object store of its own on this machine, which forgets when the tests end."""
    server_module = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server, monkeypatch):
    """URL of a new bucket; this process and its children reach it, with invented credentials."""
    import fsspec

    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("FSSPEC_S3_ENDPOINT_URL", s3_server)  # read by child processes
    monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": s3_server})
    bucket = f"bucket-{secrets.token_hex(8)}"
    fsspec.filesystem("s3").mkdir(bucket)
    return f"s3://{bucket}"


def draw_photograph(seed, height=60, width=80):
    """A landscape of sky, hills and a disc, with noise: (H, W, 3) uint8."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    image = np.empty((height, width, 3))
    image[:] = (120, 170, 230)
    hill = height * (0.5 + 0.2 * np.sin(columns / width * 6 + seed))
    image[rows > hill] = (70, 120, 50)
    disc = (rows - height * 0.75) ** 2 + (
        columns - width * (0.2 + 0.6 * generator.random())
    ) ** 2 < (height * 0.15) ** 2
    image[disc] = (200, 40, 40)
    return (image + generator.normal(scale=8, size=image.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def draw():
    """Draws a photograph: ``draw(seed, height, width)``."""
    return draw_photograph


@pytest.fixture
def photograph():
    """One drawn photograph, (60, 80, 3) uint8."""
    return draw_photograph(0)


@pytest.fixture
def photographs(tmp_path):
    """A folder of five drawn photographs, one in a sub-folder, of two sizes."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for seed in range(4):
        Image.fromarray(draw_photograph(seed)).save(folder / f"p{seed}.png")
    Image.fromarray(draw_photograph(4, 90, 64)).save(folder / "more" / "p4.png")
    return folder


@pytest.fixture
def small_config():
    """Settings that make every stage take well under a second."""
    base = preset_config("default")
    return dataclasses.replace(
        base,
        num_clusters=3,
        features=dataclasses.replace(base.features, size=64),
        fit=dataclasses.replace(
            base.fit,
            cluster_restarts=4,
            proposal_steps=10,
            min_steps=10,
            epochs=1,
            kmeans_epochs=1,
            baseline_epochs=1,
            checkpoint_every=4,
            pixels_per_image=64,
        ),
    )


@pytest.fixture(scope="session")
def texture():
    """The backbone that needs no weights."""
    from primaps.heads.loading import load_backbone

    return load_backbone("texture", device="cpu")


@pytest.fixture(scope="session")
def segment_four(texture):
    """``segment_four(root)``: the folder of a small finished run."""

    def segment(root, **options):
        """Label maps of four photographs with four clusters.

        Args:
            root: Folder to make; photographs and run are put below it.
            options: For `primaps.pipeline.segment`.
        """
        from primaps import pipeline

        photos = root / "photos"
        (photos / "sub").mkdir(parents=True)
        for index in range(4):
            rows, columns = np.mgrid[:48, :64]
            noise = np.random.default_rng(index).normal(scale=8, size=(48, 64, 3))
            image = np.where((rows > 20 + 3 * index)[..., None], (70, 120, 50), (120, 170, 230))
            image = np.where((columns > 40 + 3 * index)[..., None], (200, 40, 40), image) + noise
            name = f"sub/{index}.png" if index % 2 else f"{index}.png"
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(photos / name)
        base = preset_config("default")
        config = dataclasses.replace(
            base,
            num_clusters=4,
            features=dataclasses.replace(base.features, size=64),
            fit=dataclasses.replace(base.fit, cluster_restarts=2, proposal_steps=4),
            predict=dataclasses.replace(base.predict, crf=False),
        )
        run = pipeline.open_run([photos], root / "run", texture, config)
        pipeline.segment(run, inputs=[str(photos)], **options)
        return root / "run"

    return segment


class CutShortError(Exception):
    """The process ended, so to speak."""


class CuttingProgress(Silent):
    """Progress that ends the process, so to speak, at a step of a stage."""

    def __init__(self, stage, step, error=CutShortError):
        self.stage, self.step, self.error = stage, step, error
        self.present, self.count = "", 0

    def start(self, stage, total, done=0):
        self.present, self.count = stage, done

    def advance(self, steps=1):
        self.count += steps
        if self.present == self.stage and self.count >= self.step:
            raise self.error


@pytest.fixture(scope="session")
def cutting():
    """``with cutting.short(): work(progress=cutting.at(stage, step))``: work that is cut short at
    that step.
    """
    return types.SimpleNamespace(at=CuttingProgress, short=lambda: pytest.raises(CutShortError))


# ---- images that real folders contain: odd ones, which must be read, and bad ones, which must be r


def _gradient(height=24, width=36):
    rows, columns = np.mgrid[:height, :width]
    return np.stack(
        [rows * 255 // height, columns * 255 // width, (rows + columns) * 2], axis=-1
    ).astype(np.uint8)


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _one_bit_png(width, height, pixels):
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", pixels)
        + _chunk(b"IEND", b"")
    )


@pytest.fixture
def gradient():
    """(24, 36, 3) uint8."""
    return _gradient()


@pytest.fixture
def odd_images(tmp_path):
    """Files that are unusual and fine, by what is odd about them; all but ``one_pixel`` are 24 x 36
    after orientation.
    """
    root = tmp_path / "odd"
    (root / "first").mkdir(parents=True)
    (root / "second").mkdir()
    gradient = _gradient()
    rgb = Image.fromarray(gradient)
    exif = Image.Exif()
    exif[0x0112] = 6
    paths = {
        "one_pixel": root / "one_pixel.png",
        "black": root / "black.png",
        "grey": root / "grey.jpg",
        "sixteen_bit": root / "sixteen_bit.png",
        "rgba": root / "rgba.png",
        "palette": root / "palette.png",
        "cmyk": root / "cmyk.jpg",
        "rotated": root / "rotated.jpg",
        "non_ascii": root / "Straße 東京 é.PNG",
        "same_name_1": root / "first" / "same.png",
        "same_name_2": root / "second" / "same.png",
        "beside_jpg": root / "a.jpg",
        "beside_png": root / "a.png",
    }
    rgb.resize((1, 1)).save(paths["one_pixel"])
    Image.new("RGB", rgb.size).save(paths["black"])
    rgb.convert("L").save(paths["grey"])
    Image.fromarray(gradient[..., 0].astype(np.uint16) * 257).save(paths["sixteen_bit"])
    rgba = rgb.convert("RGBA")
    rgba.putalpha(Image.fromarray(gradient[..., 1]))
    rgba.save(paths["rgba"])
    rgb.quantize(64).save(paths["palette"])
    rgb.convert("CMYK").save(paths["cmyk"], quality=95)
    rgb.transpose(Image.Transpose.ROTATE_90).save(paths["rotated"], exif=exif, quality=95)
    for key in ("non_ascii", "same_name_1", "same_name_2", "beside_jpg", "beside_png"):
        rgb.save(paths[key])
    return paths


@pytest.fixture
def bad_images(tmp_path):
    """Paths with an image's name that cannot be read, by what is wrong with them."""
    root = tmp_path / "bad"
    root.mkdir()
    kinds = (
        "empty.jpg",
        "text.jpg",
        "truncated.jpg",
        "truncated.png",
        "huge_header.png",
        "bomb.png",
        "broken_link.jpg",
        "folder.jpg",
    )
    paths = {kind.replace(".", "_"): root / kind for kind in kinds}
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    paths["empty_jpg"].write_bytes(b"")
    paths["text_jpg"].write_text("These are my holiday pictures.\n" * 20, encoding="utf-8")
    for key in ("truncated_jpg", "truncated_png"):
        noise.save(paths[key])
        content = paths[key].read_bytes()
        paths[key].write_bytes(content[: len(content) // 2])
    paths["huge_header_png"].write_bytes(_one_bit_png(2**31 - 1, 2**31 - 1, zlib.compress(b"\0")))
    paths["bomb_png"].write_bytes(
        _one_bit_png(16000, 16000, zlib.compress(bytes(16000 * 2001), level=1))
    )
    paths["broken_link_jpg"].symlink_to(root / "not_there.jpg")
    paths["folder_jpg"].mkdir()
    noise.save(paths["folder_jpg"] / "inside.png")
    return paths


# ---- heads, and checkpoints in the form in which STEGO, HP and PriMaPs publish them --------------


@pytest.fixture
def texture_head(texture, tmp_path):
    """Folder of a small random head on `texture` with three cluster centres."""
    import torch

    from primaps.heads.files import Head, save_head
    from primaps.heads.projection import ProjectionHead

    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = Head(
            "stego", ProjectionHead(texture.dim, 6), texture.describe(), centres=torch.randn(3, 6)
        )
    save_head(tmp_path / "texture-head", head)
    return tmp_path / "texture-head"


class OfficialCheckpoints:
    """Writes synthetic official checkpoints: right keys, shapes and classes, random numbers.

    Attributes:
        channels: C, of the backbone.
        dim: D, of the head.
        clusters: K.
    """

    channels, dim, clusters = 20, 7, 4

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.monkeypatch = monkeypatch

    def head_tensors(self, prefix):
        """The two branches by their official keys."""
        import torch

        rows = {"cluster1.0": self.dim, "cluster2.0": self.channels, "cluster2.2": self.dim}
        generator = torch.Generator().manual_seed(1)
        tensors = {}
        for name, count in rows.items():
            tensors[f"{prefix}{name}.weight"] = torch.randn(
                count, self.channels, 1, 1, generator=generator
            )
            tensors[f"{prefix}{name}.bias"] = torch.randn(count, generator=generator)
        return tensors

    def stego_content(self, vit=None):
        """A Lightning checkpoint of version 1 with OmegaConf settings and callbacks keyed by their
        classes.
        """
        import collections

        import torch

        generator = torch.Generator().manual_seed(2)
        state = collections.OrderedDict(
            (f"net.model.{key}", value) for key, value in (vit or {}).items()
        )
        state._metadata = {"": {"version": 1}}
        state |= self.head_tensors("net.")
        state["cluster_probe.clusters"] = torch.randn(self.clusters, self.dim, generator=generator)
        state["train_cluster_probe.clusters"] = torch.randn(self.clusters, self.dim)
        state["linear_probe.weight"] = torch.randn(
            self.clusters, self.dim, 1, 1, generator=generator
        )
        state["linear_probe.bias"] = torch.randn(self.clusters, generator=generator)
        state["decoder.weight"], state["decoder.bias"] = (
            torch.randn(self.channels, self.dim, 1, 1),
            torch.randn(self.channels),
        )
        any_node, metadata = (
            self.foreign("omegaconf.nodes", "AnyNode"),
            self.foreign("omegaconf.base", "ContainerMetadata"),
        )
        config = self.foreign("omegaconf.dictconfig", "DictConfig")()
        kinds = {
            "ref_type": dict,
            "object_type": None,
            "resolver_cache": collections.defaultdict(dict),
            "key_type": object,
        }
        node = any_node()
        node.__dict__ = {"_metadata": None, "_parent": config, "_val": "vit_base"}
        config.__dict__ = {
            "_metadata": metadata(),
            "_parent": None,
            "_content": {"model_type": node},
        }
        config.__dict__["_metadata"].__dict__ = kinds
        callback = self.foreign("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
        parameters = self.foreign("pytorch_lightning.utilities.parsing", "AttributeDict", dict)
        return {
            "epoch": 3,
            "global_step": 7000,
            "pytorch-lightning_version": "1.2.10",
            "state_dict": state,
            "callbacks": {
                callback: {"best_model_score": torch.tensor(0.2), "best_model_path": "x.ckpt"}
            },
            "optimizer_states": [
                {
                    "state": {0: {"step": 1, "exp_avg": torch.zeros(3)}},
                    "param_groups": [{"lr": 5e-4}],
                }
            ],
            "lr_schedulers": [],
            "hyper_parameters": parameters({"n_classes": self.clusters, "cfg": config}),
        }

    def hp_content(self, vit=None):
        """A plain dictionary of state dicts, with the moving average of the head."""
        import torch

        trained = self.head_tensors("")
        average = {
            key.replace("cluster", "ema_model"): value + 100 for key, value in trained.items()
        }
        return {
            "epoch": 2,
            "best": {"Cluster_mIoU": 0.24},
            "net_model_state_dict": {
                **{f"model.{key}": value for key, value in (vit or {}).items()},
                **trained,
                **average,
            },
            "linear_model_state_dict": {
                "weight": torch.randn(self.clusters, self.dim, 1, 1),
                "bias": torch.randn(self.clusters),
            },
            "cluster_model_state_dict": {
                "clusters": torch.randn(
                    self.clusters, self.dim, generator=torch.Generator().manual_seed(2)
                )
            },
            "net_optimizer_state_dict": None,
        }

    def primaps_content(self, vit=None, *, baseline=False):
        """A Lightning checkpoint with an argparse Namespace; prototypes are weight-normalised 1 x 1
        convolutions.
        """
        import argparse

        import torch

        generator = torch.Generator().manual_seed(3)
        state = {f"net.model.{key}": value for key, value in (vit or {}).items()}
        names = (
            ["cluster_probe.cluster_centers"]
            if baseline
            else ["cluster_probe.ema_model", "cluster_probe.online_model"]
        )
        for name in [*names, "seghead"]:
            state[f"{name}.weight_g"] = (
                torch.rand(self.clusters, 1, 1, 1, generator=generator) + 0.5
            )
            state[f"{name}.weight_v"] = torch.randn(
                self.clusters, self.channels, 1, 1, generator=generator
            )
        if not baseline:
            state |= {
                "cluster_probe.initted": torch.tensor([True]),
                "cluster_probe.step": torch.tensor([400]),
            }
        state |= {"linear_probe.weight": torch.randn(self.clusters, self.channels, 1, 1)}
        state |= {"linear_probe.bias": torch.randn(self.clusters)}
        options = argparse.Namespace(
            backbone_arch="dino_vits", backbone_patch=8, validation_resize=96, seed=0
        )
        return {
            "epoch": 49,
            "state_dict": state,
            "hyper_parameters": {"opts": options},
            "pytorch-lightning_version": "1.5.10",
        }

    def write(self, content, name="official.ckpt"):
        """Save as the authors did; afterwards their classes cannot be imported any more."""
        import torch

        path = self.folder / name
        torch.save(content, path)
        self.monkeypatch.undo()
        return path

    def foreign(self, module, name, base=object):
        """A class that pickles under a name of a package that is not installed."""
        import sys
        import types

        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            qualified = ".".join(parts[:end])
            if qualified not in sys.modules:
                self.monkeypatch.setitem(sys.modules, qualified, types.ModuleType(qualified))
        made = type(name, (base,), {"__module__": module})
        setattr(sys.modules[module], name, made)
        return made


@pytest.fixture
def official(tmp_path):
    """A writer of synthetic official checkpoints."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield OfficialCheckpoints(tmp_path, monkeypatch)
