"""Changes that disks, transfers, editors and attackers make to a file."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

Mutation = Callable[[bytes, np.random.Generator], bytes]
MARKER: Final = "code-was-run"
"""A file of this name is made by whatever executes what a mutated file says."""

_CODE: Final = f"open({MARKER!r}, 'w').close()"


def flip_bits(content: bytes, generator: np.random.Generator) -> bytes:
    """One to eight bits anywhere."""
    changed = bytearray(content or b"\0")
    for place in generator.integers(0, len(changed), int(generator.integers(1, 9))):
        changed[place] ^= 1 << int(generator.integers(8))
    return bytes(changed)


def cut(content: bytes, generator: np.random.Generator) -> bytes:
    """The end is missing."""
    return content[: int(generator.integers(0, max(len(content), 1)))]


def zero_block(content: bytes, generator: np.random.Generator) -> bytes:
    """A block that never reached the disk."""
    changed = bytearray(content)
    place = int(generator.integers(max(len(changed), 1)))
    length = len(changed[place : place + int(generator.choice([16, 512, 4096]))])
    changed[place : place + length] = bytes(length)
    return bytes(changed)


def swap_bytes(content: bytes, generator: np.random.Generator) -> bytes:
    """Two stretches change places."""
    length = int(generator.integers(1, max(len(content) // 4, 2)))
    first, second = sorted(generator.integers(0, max(len(content) - length, 1), 2).tolist())
    second = max(second, first + length)
    return (
        content[:first]
        + content[second : second + length]
        + content[first + length : second]
        + content[first : first + length]
        + content[second + length :]
    )


def noise(content: bytes, generator: np.random.Generator) -> bytes:
    """A stretch of anything in place of another, or the whole file."""
    place = int(generator.integers(max(len(content), 1)))
    length = len(content) if generator.random() < 0.1 else int(generator.integers(1, 300))
    return content[:place] + generator.bytes(length) + content[place + length :]


def lie(content: bytes, generator: np.random.Generator) -> bytes:
    """Extreme numbers where sizes and offsets stand."""
    place = int(generator.integers(max(min(len(content), 400), 1)))
    if generator.random() < 0.3:
        place = len(content) - 1 - place
    length = int(generator.choice([1, 2, 4, 8]))
    value = int(generator.choice([0, 1, 0x7F, 0x80, 0xFF]))
    return content[:place] + bytes([value]) * length + content[place + length :]


def first_number(content: bytes, generator: np.random.Generator) -> bytes:
    """Another length of the header of a safetensors file."""
    choices = [0, 1, 2, len(content), 2**31, 2**63, 2**64 - 1, int(generator.integers(1, 2000))]
    value = int(choices[int(generator.integers(len(choices)))])
    return struct.pack("<Q", value % 2**64) + content[8:]


BYTES: Final = (flip_bits, flip_bits, cut, zero_block, swap_bytes, noise, lie)


def lines(content: bytes, generator: np.random.Generator) -> bytes:
    """A line twice, or gone, or elsewhere, or of something else."""
    parts = content.split(b"\n")
    place, other = (int(each) for each in generator.integers(0, len(parts), 2))
    kind = int(generator.integers(5))
    if kind == 0:
        parts.insert(other, parts[place])
    elif kind == 1:
        del parts[place]
    elif kind == 2:
        parts[place], parts[other] = parts[other], parts[place]
    elif kind == 3:
        strange = [b"\t- ]", b"{", b"null", b"\xff\xfe", b"[[[[", b"0", b'"', b"- a: &x [*x]", b":"]
        parts.insert(place, strange[int(generator.integers(len(strange)))])
    else:
        parts[place] = parts[place] * int(generator.choice([2, 1000]))
    return b"\n".join(parts)


def encoding(content: bytes, generator: np.random.Generator) -> bytes:
    """As another editor saves it."""
    kind = int(generator.integers(5))
    if kind == 0:
        return b"\xef\xbb\xbf" + content
    if kind == 1:
        return content.replace(b"\n", b"\r\n")
    if kind == 2:
        return content.decode("utf-8").encode("utf-16")
    if kind == 3:
        return content.replace(b"\n", b"\r")
    return content.replace(b" ", "\N{NO-BREAK SPACE}".encode(), 3) + b"\0"


_STRANGE: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**40, -(10**40), 0.5, 1e308, -1e308),
    *(float("nan"), float("inf"), "", "x", "../../etc/passwd", "/", "\0", "\ud800", "a" * 100_000),
    *([], {}, [[]], [None], {"": None}, {"x": {"y": []}}, [1, 2, 3], ["a"], "NaN", "1", "<b>"),
)


def _places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every container with every key in it."""
    if isinstance(value, dict):
        entries: list[Any] = list(value)
    elif isinstance(value, list):
        entries = list(range(len(value)))
    else:
        return found
    for entry in entries:
        found.append((value, entry))
        _places(value[entry], found)
    return found


def json_values(content: bytes, generator: np.random.Generator) -> bytes:
    """A value of another type or size, a key that is gone, new, or there twice; of one line, where
    there are several.
    """
    try:
        values = json.loads(content)
    except ValueError:
        parts = content.split(b"\n")
        place = int(generator.integers(max(len(parts) - 1, 1)))
        parts[place] = json_values(parts[place], generator) if parts[place].strip() else b"{}"
        return b"\n".join(parts)
    places = _places(values, [])
    if not places or generator.random() < 0.05:
        return json.dumps(_STRANGE[int(generator.integers(len(_STRANGE)))]).encode()
    # as often near the top as deep in lists
    container, key = places[int(len(places) * generator.random() ** 2)]
    kind = int(generator.integers(6))
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container["new"] = container.pop(key)
    else:
        container[key] = _STRANGE[int(generator.integers(len(_STRANGE)))]
    return json.dumps(values, indent=None if b"\n" not in content.strip() else 2).encode()


def deep(content: bytes, generator: np.random.Generator) -> bytes:
    """Nested far beyond what a reader's stack holds."""
    depth = int(generator.choice([50, 2_000, 100_000]))
    opening, closing = [(b"[", b"]"), (b'{"a":', b"}")][int(generator.integers(2))]
    nested = opening * depth + b"0" + closing * depth
    place = content.find(b": ") + 2
    if place > 1 and generator.random() < 0.5:
        end = content.find(b"\n", place)
        return content[:place] + nested + content[end:]
    return nested


def yaml_text(content: bytes, generator: np.random.Generator) -> bytes:
    """Anchors that multiply, tags that ask for code, keys twice, values of other types."""
    bomb = b'a: &a ["x","x","x","x","x","x","x","x","x"]\n'
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n".encode()
    code = [
        f'!!python/object/apply:builtins.exec ["{_CODE}"]',
        f'!!python/object/new:os.system ["touch {MARKER}"]',
        "!!python/name:os.system",
        f'!!python/object/apply:subprocess.check_output [["touch", "{MARKER}"]]',
    ][int(generator.integers(4))].encode()
    values = [b"&a [*a]", b"!!binary aGk=", b"2001-01-01", b"0x7fffffffffffffffff", b".nan", b"~"]
    values += [b"1_000", b"[", b"|\n x", b"'", b"{}", b"#", b"%", b"- -", b"1e999", b'"\\ud800"']
    places = [place for place in range(len(content)) if content[place : place + 2] == b": "]
    kind = int(generator.integers(7))
    if kind == 0:
        return bomb + content
    if kind == 1 or not places:
        return content + b"\nx: " + code + b"\n"
    place = places[int(generator.integers(len(places)))] + 2
    end = content.find(b"\n", place)
    start = content.rfind(b"\n", 0, place) + 1
    if kind == 2:
        return content[:place] + code + content[end:]
    if kind == 3:
        return content[: end + 1] + content[start : end + 1] + content[end + 1 :]
    if kind == 4:
        return content[:start] + b"\t" + content[start:]
    return content[:place] + values[int(generator.integers(len(values)))] + content[end:]


class _Asking:
    """What is run when a pickle of it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (_CODE,)


def pickled_code(content: bytes, generator: np.random.Generator) -> bytes:
    """A pickle that asks for code to be run: alone, in front, in a zip archive as torch writes, or
    in place of the one in such an archive.
    """
    asking = pickle.dumps({"state_dict": _Asking()}, protocol=int(generator.choice([0, 2, 4])))
    kind = int(generator.integers(4))
    if kind == 0:
        return asking
    if kind == 1:
        return asking + content
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        if kind == 2 or not zipfile.is_zipfile(io.BytesIO(content)):
            archive.writestr("archive/data.pkl", asking)
            archive.writestr("archive/version", b"3\n")
            return buffer.getvalue()
        with zipfile.ZipFile(io.BytesIO(content)) as former:
            for name in former.namelist():
                whole = former.read(name)
                archive.writestr(name, asking if name.endswith("data.pkl") else whole)
    return buffer.getvalue()


def archive(content: bytes, generator: np.random.Generator) -> bytes:
    """A zip archive that was packed again: a file gone, twice, compressed from very much, or of
    other bytes.
    """
    buffer, kind = io.BytesIO(), int(generator.integers(4))
    with zipfile.ZipFile(io.BytesIO(content)) as former, zipfile.ZipFile(buffer, "w") as made:
        names = former.namelist()
        place = int(generator.integers(len(names)))
        for number, name in enumerate(names):
            whole = former.read(name)
            if number != place:
                made.writestr(name, whole)
            elif kind == 1:
                made.writestr(name, bytes(1 << 28), zipfile.ZIP_DEFLATED)
            elif kind == 2:
                made.writestr("../" + name, whole)
            elif kind == 3:
                made.writestr(name, flip_bits(whole, generator))
    return buffer.getvalue()


def tensors(content: bytes, generator: np.random.Generator) -> bytes:
    """Whole safetensors files of other content: NaN, another shape or type, one gone or new."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load, save

    try:
        found = load(content)
    except SafetensorError:
        return content[:-1]
    (length,) = struct.unpack("<Q", content[:8])
    metadata = json.loads(content[8 : 8 + length]).get("__metadata__")
    names = sorted(found)
    name = names[int(generator.integers(len(names)))]
    kind, value = int(generator.integers(7)), found[name]
    if kind == 0:
        found[name] = torch.full(value.shape, float("nan"))
    elif kind == 1:
        found[name] = value.flatten()[:-1].clone()
    elif kind == 2:
        found[name] = value.to(torch.float64 if value.dtype == torch.float32 else torch.float32)
    elif kind == 3:
        del found[name]
    elif kind == 4:
        found["new"] = torch.zeros(3)
    elif kind == 5:
        found[name] = value.to(torch.int64) + (1 << 40)
    else:
        text = {"format": "pt", "info": str(_STRANGE[int(generator.integers(len(_STRANGE) - 11))])}
        return save(found, {**(metadata or {}), **text, "model": "x"})
    return save(found, metadata)


TEXT: Final = (*BYTES[1:], lines, lines, encoding)
JSON: Final = (*TEXT, json_values, json_values, json_values, json_values, json_values, deep)
YAML: Final = (*TEXT, yaml_text, yaml_text, yaml_text, deep)
TENSORS: Final = (*BYTES, first_number, tensors, tensors, pickled_code)
TORCH: Final = (*BYTES, pickled_code, pickled_code, archive, archive)


def mutate(path: Path, mutations: tuple[Mutation, ...], generator: np.random.Generator) -> str:
    """Change a file once.

    Returns:
        What was done.
    """
    mutation = mutations[int(generator.integers(len(mutations)))]
    path.write_bytes(mutation(path.read_bytes(), generator))
    return mutation.__name__
