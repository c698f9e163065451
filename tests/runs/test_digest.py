import torch

from primaps.runs.digest import ProposalDigest, read_digest, write_digest
from primaps.runs.store import ShardInfo
from primaps.types import ReadingNote


def info(settings="s", **more):
    return ShardInfo(settings, "0" * 64, 3, 4, 10, 20, 2, 0.5, (0.25, 0.75), ("guard",), **more)


def proposals(count, first):
    generator = torch.Generator().manual_seed(first)
    return ProposalDigest(
        torch.arange(1, count + 1),
        torch.rand((count, 5), generator=generator),
        torch.rand(count, generator=generator),
        torch.rand(1, generator=generator),
    )


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "digest.safetensors"
    infos = {
        "a.jpg": info(),
        "ü/b.jpg": info(values=("uint16", 0.0, 1.5), notes=(ReadingNote("range", "stretched"),)),
        "c.jpg": info(ignored=0.125),
    }
    each = [proposals(2, 0), proposals(0, 1), proposals(3, 2)]
    write_digest(path, infos, each)
    found = read_digest(path)
    assert found.infos == infos
    for name, known in zip(infos, each, strict=True):
        again = found.proposals(name)
        for part in ("ids", "features", "areas", "square_norm"):
            assert torch.equal(getattr(again, part), getattr(known, part)), (name, part)


def test_a_digest_that_was_replaced_is_read_anew(tmp_path):
    path = tmp_path / "digest.safetensors"
    write_digest(path, {"a": info("first")}, [proposals(2, 0)])
    assert read_digest(path).infos["a"].settings == "first"
    write_digest(path, {"a": info("other one")}, [proposals(3, 0)])
    assert read_digest(path).infos["a"].settings == "other one"
    assert len(read_digest(path).proposals("a").ids) == 3


def test_none_and_damaged_ones_tell_nothing(tmp_path):
    path = tmp_path / "digest.safetensors"
    assert read_digest(path) is None
    write_digest(path, {"a": info()}, [proposals(2, 0)])
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole.replace(b"primaps-digest", b"x" * 14)):
        path.write_bytes(damaged)
        assert read_digest(path) is None
