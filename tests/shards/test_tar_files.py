import contextlib
import hashlib
import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.errors import ImageError
from primaps.shards import tar_files
from primaps.shards.tar_files import Member, Refused, read_members, safe_name, write_tar


def entries(content):
    """What a tar file of these bytes holds."""
    return list(read_members(lambda start, count: content[start : start + count], len(content)))


def packed(*infos, form=tarfile.PAX_FORMAT):
    """A tar file of the standard library: a name and content, or a header, per entry."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for info in infos:
            if isinstance(info, tuple):
                header = tarfile.TarInfo(info[0])
                header.size = len(info[1])
                archive.addfile(header, io.BytesIO(info[1]))
            else:
                archive.addfile(info)
    return stream.getvalue()


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


LONG = "a folder/" * 30 + "ü.jpg"


def test_what_is_written_is_read_here_and_by_others(tmp_path):
    (tmp_path / "b").write_bytes(b"from a file" * 100)
    members = write_tar(
        tmp_path / "x.tar",
        [("a.jpg", b"12345"), ("b.png", tmp_path / "b"), (LONG, b""), ("c", b"c")],
    )
    content = (tmp_path / "x.tar").read_bytes()
    assert [each.name for each in members] == ["a.jpg", "b.png", LONG, "c"]
    for member in members:
        part = content[member.offset : member.offset + member.size]
        assert hashlib.sha256(part).hexdigest() == member.sha256
    assert entries(content) == [Member(each.name, each.offset, each.size) for each in members]
    with tarfile.open(tmp_path / "x.tar") as archive:
        assert archive.getnames() == [each.name for each in members]
        assert archive.extractfile("b.png").read() == b"from a file" * 100
        assert {(each.mtime, each.uid, each.mode, each.uname) for each in archive} == {
            (0, 0, 0o644, "")
        }


def test_equal_content_gives_equal_bytes(tmp_path):
    """No time, owner or right of a file goes in; the checksum holds on every machine."""
    source = tmp_path / "source"
    source.write_bytes(b"x")
    write_tar(tmp_path / "1.tar", [("a", source), (LONG, b"y")])
    source.chmod(0o600)
    write_tar(tmp_path / "2.tar", [("a", b"x"), (LONG, b"y")])
    content = (tmp_path / "1.tar").read_bytes()
    assert content == (tmp_path / "2.tar").read_bytes()
    assert (
        hashlib.sha256(content).hexdigest()
        == "df7db6a98d8fe8e1349dbddc7a1b114bcda9611d6af2cb30f1a3a2a8b5487108"
    )


def test_a_name_that_comes_twice_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="twice"):
        write_tar(tmp_path / "x.tar", [("a", b""), ("a", b"")])


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_the_forms_that_others_write(form):
    name = "deep/" * 30 + "x.jpg"
    content = packed(("a.jpg", b"a" * 700), (name, b"bb"), form=form)
    first, second = entries(content)
    assert (first.name, first.size, second.name, second.size) == ("a.jpg", 700, name, 2)
    assert content[second.offset : second.offset + 2] == b"bb"


def test_a_file_without_empty_blocks_at_its_end():
    content = packed(("a.jpg", b"a"))[:1024]
    assert [each.name for each in entries(content)] == ["a.jpg"]


def test_what_is_no_regular_file_is_refused():
    content = packed(
        special("folder", tarfile.DIRTYPE),
        special("link.jpg", tarfile.SYMTYPE, "/etc/passwd"),
        special("hard.jpg", tarfile.LNKTYPE, "a.jpg"),
        special("device.jpg", tarfile.CHRTYPE),
        special("disk.jpg", tarfile.BLKTYPE),
        special("pipe.jpg", tarfile.FIFOTYPE),
        special("odd.jpg", b"Q"),
        ("a.jpg", b"a"),
    )
    assert [(each.name, each.kind) for each in entries(content)[:-1]] == [
        ("folder/", "a folder"),
        ("link.jpg", "a symbolic link"),
        ("hard.jpg", "a link"),
        ("device.jpg", "a device"),
        ("disk.jpg", "a device"),
        ("pipe.jpg", "a pipe"),
        ("odd.jpg", "an entry of an unknown kind"),
    ]
    assert isinstance(entries(content)[-1], Member)


def header(name=b"a.jpg", size=b"00000000001\0", kind=b"0"):
    """A header whose checksum is right, whatever else is not."""
    block = bytearray(512)
    block[: len(name)] = name
    block[124 : 124 + len(size)] = size
    block[156:157] = kind
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(records, kind=b"x"):
    body = records + bytes(-len(records) % 512)
    return header(b"pax", b"%011o\0" % len(records), kind) + body


END = bytes(1024)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "ends in the middle"),
        (b"no tar file" * 100, "no tar file"),
        (b"\x1f\x8b" + bytes(600), "not compressed"),
        (header()[:300], "ends in the middle"),
        (header(), "beyond its end"),
        (header(size=b"77777777777\0") + END, "beyond its end"),
        (header(size=b"\x80" + b"\xff" * 11) + END, "beyond its end"),
        (header(size=b"\xff" * 12) + END, "no number"),
        (header(size=b"-0000000001\0") + END, "no number"),
        (header(size=b"99999999999\0") + END, "no number"),
        (header(kind=b"S") + END, "sparse"),
        (header(kind=b"x", size=b"00010000000\0") + bytes(2**21 + 1024), "a header of 2097152"),
        (header(kind=b"L", size=b"00010000000\0") + bytes(2**21 + 1024), "a header of 2097152"),
        (pax(b"99 path=x\n") + header() + END, "follows no rule"),
        (pax(b"0 path=x\n") + header() + END, "follows no rule"),
        (pax(b"-9 path=x\n") + header() + END, "follows no rule"),
        (pax(b"9999999999999999999999 path=x\n") + header() + END, "follows no rule"),
        (pax(b"7 pathx\n") + header() + END, "follows no rule"),
        (pax(b"13 size=-512\n") + header() + END, "size that is no number"),
        (pax(b"29 size=99999999999999999999\n") + header() + END, "no number"),
        (pax(b"16 size=9999999\n") + header() + END, "beyond its end"),
        (pax(b"22 GNU.sparse.major=1\n") + header() + END, "sparse"),
        (b"x" + header()[1:] + END, "no tar file"),
        (header() + bytes(512) + b"x" * 512, "checksum is wrong"),
    ],
)
def test_damaged_and_hostile_files(content, reason):
    with pytest.raises(ImageError, match=reason):
        entries(content)


def test_what_was_before_the_damage_is_given():
    content = packed(("a.jpg", b"a" * 600), ("b.jpg", b"b" * 6000))
    found = []
    with pytest.raises(ImageError, match="at byte 1536"):
        found.extend(read_members(lambda at, count: content[at : at + count], 4096))
    reader = read_members(lambda at, count: content[at : at + count], 4096)
    assert next(reader).name == "a.jpg"


def test_headers_that_extend_headers_without_end(monkeypatch):
    monkeypatch.setattr(tar_files, "MOST_MEMBERS", 1000)
    with pytest.raises(ImageError, match="more than 1000"):
        entries(pax(b"10 path=x\n") * 1001 + END)


def test_empty_entries_without_end(monkeypatch):
    monkeypatch.setattr(tar_files, "MOST_MEMBERS", 1000)
    with pytest.raises(ImageError, match="more than 1000"):
        entries(header(size=b"00000000000\0") * 1001 + END)


def test_a_global_header_names_nothing():
    content = pax(b"10 path=x\n", b"g") + packed(("a.jpg", b"a"))
    assert [each.name for each in entries(content)] == ["a.jpg"]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.jpg", "a.jpg"),
        ("./a/b.jpg", "a/b.jpg"),
        ("././a.jpg", "a.jpg"),
        ("ü/ä ö.jpg", "ü/ä ö.jpg"),
        ("con.jpg", "con.jpg"),  # a name like others here; `output_names` sees to Windows
        ("a..b/..c.jpg", "a..b/..c.jpg"),
        ("/etc/x.jpg", None),
        ("../x.jpg", None),
        ("a/../../x.jpg", None),
        ("a/..", None),
        ("a//b.jpg", None),
        ("a/./b.jpg", None),
        ("a\\..\\b.jpg", None),
        ("C:x.jpg", None),
        ("c:/x.jpg", None),
        ("a\nb.jpg", None),
        ("a\x1b[31m.jpg", None),
        ("\udcff.jpg", None),
        ("", None),
        (".", None),
        ("./", None),
    ],
)
def test_names_that_outputs_may_have(name, safe):
    assert safe_name(name) == safe


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=3000), st.integers(0, 2000))
def test_whatever_comes_it_ends(noise, position):
    """No other error, no endless loop, no entry beyond the end."""
    whole = packed(("a.jpg", b"a" * 600), (LONG, b"b"))
    content = whole[:position] + noise + whole[position + len(noise) :]
    with contextlib.suppress(ImageError):
        for each in entries(content):
            if isinstance(each, Member):
                assert 0 <= each.offset <= each.offset + each.size <= len(content)
            else:
                assert isinstance(each, Refused)
