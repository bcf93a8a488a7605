"""What the tests share: where the zoos are, and TensorFlow imported once, quietly."""

import os
import signal
from pathlib import Path

import pytest

from permafrost.sandbox import runner

# In the background of a shell, or under nohup, the tests and all that they start would ignore these.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

pytest_plugins = ["browsing"]

HOME = Path(__file__).parents[1]
SAMPLE_ZOO = HOME / "models"
REAL_ZOO = Path(os.environ.get("PERMAFROST_ZOO", HOME.parent / "shared" / "zoo"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that fork come first, since they cannot once a session has run in their process; then the fast ones.

    Of the slow ones those that take longest come first, so that no process is left with one when the others are done.
    """
    items.sort(key=lambda item: (item.get_closest_marker("forks") is None, _minutes(item)))


def _minutes(item: pytest.Item) -> tuple[bool, float]:
    """Whether a test is slow, and, negative, the minutes that all of its file take."""
    marker = item.get_closest_marker("slow")
    return (marker is not None, -marker.kwargs.get("minutes", 0.5) if marker else 0)


@pytest.fixture(autouse=True)
def no_fork_after_a_session(request, monkeypatch) -> None:
    """Fails a test that forks a sandbox where TensorFlow's threads run: the child would wait for them for ever."""
    real = runner.run
    if request.node.get_closest_marker("only_imports"):
        return

    def run(*args, **kwargs):
        names = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
        assert not any(name.startswith("tf_") for name in names), "use fresh_process, or mark the module `forks`"
        return real(*args, **kwargs)

    monkeypatch.setattr(runner, "run", run)


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
