"""What the tests share: where the zoos are, and TensorFlow imported once, quietly."""

import os
import signal
from pathlib import Path

import pytest

# In the background of a shell, or under nohup, the tests and all that they start would ignore these.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

HOME = Path(__file__).parents[1]
SAMPLE_ZOO = HOME / "models"
REAL_ZOO = Path(os.environ.get("PERMAFROST_ZOO", HOME.parent / "shared" / "zoo"))


@pytest.fixture(scope="session")
def real_zoo() -> Path:
    """The directory of real checkpoints, with their MANIFEST.tsv; the test skips where it is missing."""
    if not (REAL_ZOO / "MANIFEST.tsv").exists():
        pytest.skip(f"no zoo of real checkpoints at {REAL_ZOO}; name one in PERMAFROST_ZOO")
    return REAL_ZOO


def sparse(path: Path, size: int, end: bytes = b"") -> None:
    """Writes a file of `size` bytes of which only the last few, `end`, take room on the disk."""
    with path.open("wb") as file:
        try:
            file.truncate(size)
        except OSError as error:
            pytest.skip(f"this file system has no file of {size} bytes: {error.strerror}")
        file.seek(size - len(end))
        file.write(end)
    if path.stat().st_blocks * 512 > 1 << 20:
        path.unlink()
        pytest.skip("this file system has no sparse files")
