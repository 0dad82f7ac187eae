import os
import stat
from pathlib import Path

import pytest

from spacy_xlt.cli._pipeline import split_langs
from spacy_xlt.files import staged_file, write_text


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write_text(path, "ä\n")
    assert path.read_bytes() == "ä\n".encode()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_a_failure_leaves_the_earlier_file(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("before")
    with pytest.raises(error), staged_file(path) as staging:
        staging.write_text("half")
        raise error
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is a directory; a file is needed"), staged_file(tmp_path):
        pytest.fail("the block must not run")


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="the system has no /dev/null")
def test_a_device_stays_a_device():
    with staged_file(Path("/dev/null")) as staging:
        staging.write_text("x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_lists_of_languages():
    assert split_langs(None) is None
    assert split_langs("de, fr ,sw") == ["de", "fr", "sw"]
    with pytest.raises(ValueError, match="',' names no language"):
        split_langs(",")
