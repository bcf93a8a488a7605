"""Which files' hashes a provenance has."""

import pytest

import kinds
from judged import saved
from permafrost import whole_files
from permafrost.records import is_known
from permafrost.stages import freeze_model
from stages import frozen, imported


def made(tmp_path, **changes):
    record = imported(saved(kinds.partitioned(0, 3), tmp_path), outputs=["out"])
    provenance, path = frozen(record, tmp_path / "frozen", **changes)
    return record, provenance, path


@pytest.mark.parametrize(("hashes", "has_all"), [("auto", True), ("sha256", True), ("small", False)])
def test_the_settings_say_whose(hashes, has_all, tmp_path):
    record, provenance, path = made(tmp_path, hashes=hashes)
    data = next(file for file in record.files if ".data-" in file)
    assert (data.rpartition("/")[2] in provenance.sha256) == has_all == is_known(provenance.frozen_sha256)
    lines = dict(line.split("  ")[::-1] for line in (path.parent / "checkpoint.sha256").read_text().splitlines())
    assert lines == provenance.sha256
    if has_all:
        assert provenance.sha256[data.rpartition("/")[2]] == whole_files.sha256(data)
        assert provenance.frozen_sha256 == whole_files.sha256(path)


def test_a_large_checkpoint_is_not_read_again_unless_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(freeze_model, "_CHEAP", 10)
    assert not is_known(made(tmp_path / "one")[1].frozen_sha256)
    assert is_known(made(tmp_path / "two", hashes="sha256")[1].frozen_sha256)


def test_what_is_of_another_graph_goes(tmp_path):
    _, _, path = made(tmp_path)
    for name in ("card.md", "SHA256SUMS", "example.npz"):
        path.with_name(name).write_text("old")
    made(tmp_path)
    assert not any(path.with_name(name).exists() for name in ("card.md", "SHA256SUMS", "example.npz"))
