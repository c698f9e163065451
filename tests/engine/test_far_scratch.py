import os
import stat
import tempfile

import pytest

from primaps.engine.far_scratch import check_scratch, far_scratch
from primaps.errors import OutputError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="owners of folders are POSIX")


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_url_has_one_folder_and_others_have_others():
    assert far_scratch("s3://a/x") == far_scratch("s3://a/x")
    assert far_scratch("s3://a/x") != far_scratch("s3://a/y")


def test_the_folder_is_of_this_user_alone():
    scratch = far_scratch("s3://a/x")
    check_scratch(scratch)
    check_scratch(scratch)
    assert stat.S_IMODE(scratch.parent.stat().st_mode) & 0o077 == 0


def test_a_folder_that_others_may_write_is_refused():
    scratch = far_scratch("s3://a/x")
    scratch.parent.mkdir()
    scratch.parent.chmod(0o777)
    with pytest.raises(OutputError, match="this user alone may write, but it is not"):
        check_scratch(scratch)


def test_a_link_is_refused(temporary):
    (temporary / "elsewhere").mkdir()
    scratch = far_scratch("s3://a/x")
    scratch.parent.symlink_to(temporary / "elsewhere")
    with pytest.raises(OutputError, match="TMPDIR"):
        check_scratch(scratch)


def test_folders_of_local_outputs_are_left_alone(temporary):
    check_scratch(temporary / "out" / ".parts")
    assert not list(temporary.iterdir())
