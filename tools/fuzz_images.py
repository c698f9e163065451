"""Read mutated image files and count what becomes of them: `python tools/fuzz_images.py`.

Each file is one of `seeds` with flipped bits, a part cut off, or a header that lies, from a number
of its own, so that every one can be made again (--first N --files 1 --keep DIR). It is read as a
run reads its images, in a process of its own that may take 10 seconds and 2 GB of memory for it.
Right are: used, used with a warning, listed (an `ImageError`). Wrong are: another exception, a
process that ends, too long, too much memory; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import io
import multiprocessing
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import numpy as np
import PIL.Image

SECONDS: Final = 10.0
MEMORY: Final = 2 << 30
"""Bytes."""
RIGHT: Final = ("used", "used with a warning", "listed")


def seeds() -> dict[str, bytes]:
    """Whole files of many kinds, by name."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:96, :128]
    rgb = np.stack([rows * 2, columns, (rows + columns) % 256], axis=-1)
    rgb = (rgb + generator.normal(0, 8, rgb.shape)).clip(0, 255).astype(np.uint8)
    return _pillow_seeds(rgb) | _tiff_seeds(rgb) | _other_seeds()


def _pillow_seeds(rgb: np.ndarray[Any, np.dtype[np.uint8]]) -> dict[str, bytes]:
    picture = PIL.Image.fromarray(rgb)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    frames: dict[str, Any] = {"save_all": True, "append_images": [picture.rotate(90)] * 2}
    deep = PIL.Image.fromarray(rgb[..., 0].astype(np.uint16) * 257)
    kinds: dict[str, tuple[PIL.Image.Image, str, dict[str, Any]]] = {
        "a.jpg": (picture, "JPEG", {"exif": exif}),
        "b.jpg": (picture, "JPEG", {"progressive": True, "quality": 92}),
        "c.jpg": (picture.convert("CMYK"), "JPEG", {}),
        "d.jpg": (picture, "JPEG", {"restart_marker_blocks": 4}),
        "a.png": (picture, "PNG", {}),
        "b.png": (picture.quantize(40), "PNG", {"transparency": 3}),
        "c.png": (deep, "PNG", {}),
        "d.png": (picture, "PNG", frames),
        "a.gif": (picture, "GIF", frames),
        "a.webp": (picture, "WEBP", {}),
        "b.webp": (picture, "WEBP", {"lossless": True, **frames}),
        "a.bmp": (picture, "BMP", {}),
        "a.ppm": (picture, "PPM", {}),
        "a.jp2": (picture, "JPEG2000", {}),
        "a.avif": (picture, "AVIF", {}),
        "a.tif": (picture, "TIFF", {"compression": "tiff_lzw"}),
        "b.tif": (picture.convert("LAB"), "TIFF", {}),
    }
    made: dict[str, bytes] = {}
    for name, (image, kind, options) in kinds.items():
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        made[name] = buffer.getvalue()
    return made


def _tiff_seeds(rgb: np.ndarray[Any, np.dtype[np.uint8]]) -> dict[str, bytes]:
    import tifffile

    grey = rgb[..., 1]
    nodata = [(42113, "s", 0, "7", True)]
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "deep.tif": (rgb.astype(np.uint16) * 257, {"photometric": "rgb"}),
        "lzw.tif": (
            rgb.astype(np.uint16),
            {"photometric": "rgb", "compression": "lzw", "predictor": True},
        ),
        "tiles.tif": (grey.astype(np.float32), {"tile": (32, 32), "compression": "zlib"}),
        "nodata.tif": (grey.astype(np.float64), {"extratags": nodata}),
        "bands.tif": (
            np.dstack([rgb, rgb]),
            {"photometric": "minisblack", "planarconfig": "contig"},
        ),
        "alpha.tif": (np.dstack([rgb, grey]), {"photometric": "rgb", "extrasamples": [2]}),
        "white.tif": (grey.astype(np.uint16), {"photometric": "miniswhite"}),
        "pages.tif": (np.stack([grey] * 3), {"photometric": "minisblack"}),
        "jpeg.tif": (rgb, {"photometric": "rgb", "compression": "jpeg"}),
        "big.tif": (grey.astype(np.int16), {"bigtiff": True}),
    }
    made: dict[str, bytes] = {}
    for name, (array, options) in kinds.items():
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, array, **options)
        made[name] = buffer.getvalue()
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(rgb[::4, ::4], photometric="rgb", subfiletype=1, subifds=1)
        file.write(rgb.astype(np.uint16) * 16, photometric="rgb")
    return {**made, "preview.dng": buffer.getvalue()}


def _other_seeds() -> dict[str, bytes]:
    """A HEIC file, which nothing here can write, and deep colours."""
    import imagecodecs

    path = Path(__file__).parents[1] / "tests" / "data" / "odd_files.py"
    spec = importlib.util.spec_from_file_location("odd_files", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    generator = np.random.default_rng(1)
    deep = generator.integers(0, 65536, (40, 50, 4), dtype=np.uint16)
    ppm = b"P6 50 40 65535\n" + deep[..., :3].astype(">u2").tobytes()
    jp2 = bytes(imagecodecs.jpeg2k_encode(deep[..., :3].copy(), level=0))
    return {
        "a.heic": module.HEIC,
        "deep.png": module.png16(deep),
        "deep.ppm": ppm,
        "deep.jp2": jp2,
    }


def mutated(whole: dict[str, bytes], number: int) -> tuple[str, bytes]:
    """File ``number``: its name and content."""
    generator = np.random.default_rng(number)
    name = sorted(whole)[number % len(whole)]
    content = bytearray(whole[name])
    changes: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
        _flip_bits,
        _cut,
        _lie,
        _lie,
        _overwrite,
    )
    for _ in range(int(generator.integers(1, 3))):
        changes[int(generator.integers(len(changes)))](content, generator)
    return name, bytes(content)


def _flip_bits(content: bytearray, generator: np.random.Generator) -> None:
    for place in generator.integers(0, len(content), int(generator.integers(1, 30))):
        content[place] ^= 1 << int(generator.integers(8))


def _cut(content: bytearray, generator: np.random.Generator) -> None:
    del content[int(generator.integers(1, len(content))) :]


def _lie(content: bytearray, generator: np.random.Generator) -> None:
    """Extreme numbers where sizes, counts and offsets stand: near the beginning or the end."""
    near = min(len(content), 600)
    place = int(generator.integers(near))
    if generator.random() < 0.3:
        place = len(content) - 1 - place
    length = int(generator.choice([1, 2, 4, 8]))
    value = int(generator.choice([0, 1, 0x7F, 0x80, 0xFF, int(generator.integers(256))]))
    content[place : place + length] = bytes([value]) * len(content[place : place + length])


def _overwrite(content: bytearray, generator: np.random.Generator) -> None:
    place = int(generator.integers(len(content)))
    length = min(int(generator.integers(1, 200)), len(content) - place)
    content[place : place + length] = generator.bytes(length)


def read_as_a_run_does(path: Path) -> str:
    """What becomes of a file: one of `RIGHT`, or the exception that it should not have led to."""
    from primaps.data.decoded import frames, value_kind
    from primaps.data.decoding import decoding
    from primaps.data.reading import count_pixels, read_photo
    from primaps.data.upright import standing, upright_bytes
    from primaps.errors import ImageError

    try:
        count_pixels(path)
        for look in (frames, value_kind):
            with decoding(path) as stream:
                look(stream, "x")
        photo = read_photo(path, 1_000_000, damage=True)
        standing(path)
        upright_bytes(path)
    except ImageError as error:
        return "out of memory" if isinstance(error.__cause__, MemoryError) else "listed"
    # whatever it is, it is what is looked for
    except BaseException as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"
    return "used with a warning" if photo.notes else "used"


def _child(connection: Connection, folder: str) -> None:
    """Read the files whose numbers come, until there are no more."""
    import logging

    import primaps.data.jpeg.entropy  # noqa: F401  # its memory is not that of a file
    from primaps.data.reading import read_photo

    logging.disable(logging.CRITICAL)
    whole = seeds()
    for name in sorted(whole):  # libraries are loaded, and so no file's
        path = Path(folder) / name
        path.write_bytes(whole[name])
        read_photo(path, 1_000_000, damage=True)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    connection.send("ready")
    while (number := connection.recv()) is not None:
        name, content = mutated(whole, number)
        path = Path(folder) / name
        path.write_bytes(content)
        connection.send(read_as_a_run_does(path))


@dataclasses.dataclass
class Reader:
    """A process that reads files, started anew when it has to be ended."""

    folder: str
    process: Any = None
    connection: Any = None

    def read(self, number: int) -> str:
        """What becomes of a file."""
        if self.process is None:
            self._start()
        self.connection.send(number)
        try:
            if self.connection.poll(SECONDS):
                found: str = self.connection.recv()
                return found
        except EOFError:
            code = self._end()
            return f"the process ended ({code})"
        self._end()
        return f"more than {SECONDS:g} s"

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.connection.send(None)
            self.process.join()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_child, args=(other, self.folder), daemon=True)
        self.process.start()
        other.close()
        self.connection.recv()

    def _end(self) -> int | None:
        self.process.kill()
        self.process.join()
        code: int | None = self.process.exitcode
        self.process = None
        return code


def main() -> None:
    """Read the files and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="Write the files there as well.")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    whole = seeds()
    with tempfile.TemporaryDirectory() as folder:
        reader = Reader(folder)
        for number in range(options.first, options.first + options.files):
            if options.keep is not None:
                name, content = mutated(whole, number)
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / f"{number}-{name}").write_bytes(content)
            found = reader.read(number)
            counts[found if found in RIGHT else "wrong"] += 1
            if found not in RIGHT:
                name = sorted(whole)[number % len(whole)]
                wrong.append(f"{number} ({name}): {found}")
                print(wrong[-1], flush=True)
        reader.close()
    print(f"{sum(counts.values())} files:", ", ".join(f"{n} {kind}" for kind, n in counts.items()))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
