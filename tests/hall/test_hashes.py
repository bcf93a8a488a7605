"""Lists of hashes, as GNU's sha256sum reads them."""

import os
import subprocess

import pytest

from permafrost import whole_files


@pytest.mark.parametrize(
    "name", ["plain", "with spaces", "back\\slash", "line\nend", "carriage\rreturn", "\udcff", " *a"]
)
def test_sha256sum_finds_the_files(name, tmp_path):
    (tmp_path / name).write_bytes(os.urandom(100))
    whole_files.write_hashes(tmp_path / "list", {name: whole_files.sha256(tmp_path / name)})
    check = ["sha256sum", "-c", "--strict", "list"]
    assert subprocess.run(check, cwd=tmp_path, capture_output=True).returncode == 0
    (tmp_path / name).write_bytes(b"other")
    assert subprocess.run(check, cwd=tmp_path, capture_output=True).returncode == 1
