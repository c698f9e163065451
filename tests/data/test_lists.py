from __future__ import annotations

import pytest

from primaps.data.lists import list_md5, list_text, read_list
from primaps.errors import DatasetError


def test_names_in_order(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbf000000000139\r\n7\n\n a-b \n")
    assert read_list(path, "") == ("000000000139", "7", "a-b")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty. Copy it again"),
        (b"\n \n", "is empty. Copy it again"),
        (b"1\n2\n1\n", r"but got '1' more than once\. Copy"),
        (b"1\n../../etc/passwd\n", r"but got '\.\./\.\./etc/passwd'\. Copy"),
        (b"1.mat\n", r"plain names without folder and extension .* but got '1\.mat'"),
        (b"\xff\xfe1", "as UTF-8 text"),
    ],
)
def test_malformed_lists(tmp_path, content, message):
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_list(path, "")


def test_a_missing_list_says_what_to_do(tmp_path):
    with pytest.raises(DatasetError, match=r"list\.txt, but there is none\. Draw lots\."):
        read_list(tmp_path / "list.txt", "Draw lots.")
    with pytest.raises(DatasetError, match="but got"):
        read_list(tmp_path, "")


def test_published_form():
    assert list_text(["1", "2"]) == "1\n2\n"
    assert list_md5(["1", "2"]) == "6ddb4095eb719e2a9f0a3f95677d24e0"  # echo "1\n2" | md5sum
