"""The kernel keeps the sandbox's child to what it was given, whatever runs there: Python, or any op of TensorFlow."""

import errno
import importlib
import os
import socket
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from fresh_process import in_fresh_process
from permafrost.outcome import Problem
from permafrost.sandbox import confinement, landlock, runner
from permafrost.workflow import announcing
from permafrost.workflow.pipeline import Pipeline

pytestmark = [
    pytest.mark.forks,
    pytest.mark.skipif(not landlock.abi(), reason="the kernel has no Landlock, or does not let it be used"),
]
TRUNCATION, TCP, SCOPES = 3, 4, 6  # The versions of the ABI since which each is refused.
REFUSED = (errno.EACCES, errno.EPERM, errno.EXDEV)


def since(version: int):
    return pytest.mark.skipif(landlock.abi() < version, reason=f"the kernel's Landlock is older than version {version}")


def run(work, *args, readable=()):
    return runner.run(work, *args, seconds=60, memory_mb=2000, readable=readable)


def error_of(work, *args) -> int:
    """The number of the error that the system answers with; 0 where it does what it is asked."""
    try:
        work(*args)
    except OSError as error:
        return error.errno
    return 0


@pytest.fixture
def outside(tmp_path, monkeypatch) -> Path:
    """A directory with a file, on the file system on which the child works, so that both could be linked."""
    own, directory = tmp_path / "own", tmp_path / "outside"
    own.mkdir()
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(own))
    monkeypatch.chdir(own)
    (directory / "secret").write_text("secret")
    (directory / "empty").mkdir()
    return directory


def state(directory: Path) -> dict[str, str | bytes]:
    """What a directory holds, with the contents of files and the targets of links."""
    return {
        path.name: os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        for path in directory.iterdir()
    }


def own_file() -> str:
    Path("own").write_text("own")
    return "own"


def link_and_read(secret: Path) -> None:
    os.symlink(secret, "link")
    Path("link").read_text()


OUTSIDE = {
    "read a file": lambda path: (path / "secret").read_text(),
    "read a file through a link": lambda path: link_and_read(path / "secret"),
    "list a directory": os.listdir,
    "write into a file": lambda path: (path / "secret").open("a"),
    "empty a file": lambda path: (path / "secret").open("w"),
    "make a file": lambda path: (path / "new").touch(),
    "make a directory": lambda path: (path / "new").mkdir(),
    "delete a file": lambda path: (path / "secret").unlink(),
    "delete a directory": lambda path: (path / "empty").rmdir(),
    "move a file out": lambda path: os.rename(own_file(), path / "new"),
    "move a file over another": lambda path: os.replace(own_file(), path / "secret"),
    "move a file in": lambda path: os.rename(path / "secret", "new"),
    "link a file out": lambda path: os.link(own_file(), path / "new"),
    "link a file in": lambda path: os.link(path / "secret", "new"),
    "make a symbolic link": lambda path: os.symlink(own_file(), path / "new"),
    "make a pipe": lambda path: os.mkfifo(path / "new"),
    "make a socket": lambda path: socket.socket(socket.AF_UNIX).bind(str(path / "new")),
    "truncate a file": lambda path: os.truncate(path / "secret", 0),
}


@pytest.mark.parametrize("attempt", OUTSIDE)
def test_nothing_outside_is_read_or_changed(attempt, outside):
    if attempt == "truncate a file" and landlock.abi() < TRUNCATION:
        pytest.skip(f"the kernel's Landlock is older than version {TRUNCATION}")
    before = state(outside)
    assert run(error_of, OUTSIDE[attempt], outside) in REFUSED
    assert state(outside) == before
    assert error_of(OUTSIDE[attempt], outside) == 0  # It is not refused by anything else.


@pytest.mark.parametrize("whose", ["self", "parent"])
def test_the_environment_cannot_be_read(whose):
    path = f"/proc/{os.getpid() if whose == 'parent' else whose}/environ"
    assert run(error_of, Path(path).read_bytes) in REFUSED


def test_no_program_is_executed():
    assert run(error_of, lambda: os.posix_spawn(sys.executable, ["python", "-c", ""], {})) in REFUSED


def test_a_thread_is_kept_as_well(outside):
    def work():
        found = []
        thread = threading.Thread(target=lambda: found.append(error_of((outside / "secret").read_text)))
        thread.start()
        thread.join()
        return found

    assert run(work)[0] in REFUSED


def test_the_own_directory_is_free(outside):
    def work():
        os.makedirs("a/b")
        Path("a/file").write_text("written")
        os.rename("a/file", "a/b/moved")
        os.symlink("a/b/moved", "symbolic")
        os.link("a/b/moved", "hard")
        os.truncate("hard", 5)
        os.unlink("hard")
        return [Path("symbolic").read_text(), os.listdir("a")]

    assert run(work) == ["writt", ["b"]]


def test_what_is_given_is_read_and_nothing_beside_it(outside, tmp_path):
    (outside / "empty" / "below").write_text("below")
    link = tmp_path / "link"
    link.symlink_to(outside / "secret")
    readable = [str(link), str(outside / "empty"), str(outside / "missing"), "a\0b"]
    (outside / "other").touch()

    def work():
        found = [link.read_text(), (outside / "secret").read_text(), os.listdir(outside / "empty")]
        found.append((outside / "empty" / "below").read_text())
        refused = [(outside / "other").read_text, lambda: os.listdir(outside), (outside / "empty" / "below").unlink]
        return [*found, *map(error_of, [*refused, lambda: link.write_text("written")])]

    *found, first, second, third, fourth = run(work, readable=readable)
    assert found == ["secret", "secret", ["below"], "below"]
    assert {first, second, third, fourth} <= set(REFUSED)


def test_python_still_imports_what_it_needs():
    late = "sndhdr" if sys.version_info < (3, 13) else "wave"
    assert late not in sys.modules
    assert run(lambda: importlib.import_module(late).__name__) == late


def test_the_working_directory_is_not_read_as_a_part_of_pythons_path(outside, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(outside)])
    assert run(error_of, (outside / "secret").read_text) == 0
    monkeypatch.chdir(outside / "empty")
    assert run(error_of, (outside / "secret").read_text) in REFUSED


def test_files_of_the_process_stay_held():
    """A rule for a file of /proc is lost with its inode, which goes when memory is short and nobody holds it."""

    def work():
        return [
            os.readlink(f"/proc/self/fd/{number}")
            for number in range(3, 20)
            if os.path.exists(f"/proc/self/fd/{number}")
        ]

    assert {"cmdline", "status", "urandom"} <= {os.path.basename(path) for path in run(work)}


def test_inherited_descriptors_are_closed(outside):
    with (outside / "secret").open() as file, socket.socketpair()[0] as end:
        numbers = [file.fileno(), end.fileno()]
        assert run(lambda: [error_of(os.read, number, 1) for number in numbers]) == [errno.EBADF] * 2
        assert file.read() == "secret"


@pytest.fixture
def without_a_namespace(monkeypatch):
    """As where the kernel gives no network namespace."""
    monkeypatch.setattr(confinement._libc, "unshare", lambda flags: -1)


@since(TCP)
def test_tcp_is_refused(without_a_namespace, capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert run(error_of, socket.create_connection, server.getsockname(), 5) in REFUSED
        assert "all but TCP stays open" in capsys.readouterr().err
        server.settimeout(5)
        with socket.create_connection(server.getsockname(), 5):
            server.accept()[0].close()
    assert run(error_of, socket.create_server, ("127.0.0.1", 0)) in REFUSED


@since(SCOPES)
def test_an_abstract_socket_is_not_reached(without_a_namespace):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0permafrost-{os.getpid()}")
        server.listen()
        name = server.getsockname()
        assert run(lambda: error_of(socket.socket(socket.AF_UNIX).connect, name)) in REFUSED
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(name)


@since(SCOPES)
def test_the_parent_is_not_signalled():
    assert run(error_of, os.kill, os.getpid(), 0) in REFUSED


@pytest.mark.parametrize(
    ("version", "files", "network", "scopes"),
    [(1, 13, 0, 0), (2, 14, 0, 0), (3, 15, 0, 0), (4, 15, 2, 0), (5, 16, 2, 0), (6, 16, 2, 2), (99, 16, 2, 2)],
)
def test_a_kernel_is_asked_for_what_it_knows(version, files, network, scopes, monkeypatch, tmp_path):
    asked = []

    def call(number, *arguments):
        if number == landlock._CREATE_RULESET:
            asked.append(arguments[0]._obj)
        return os.open(os.devnull, os.O_RDONLY) if number == landlock._CREATE_RULESET else 0

    monkeypatch.setattr(landlock, "abi", lambda: version)
    monkeypatch.setattr(landlock, "_call", call)
    landlock.restrict([], str(tmp_path))
    (found,) = asked
    assert [found.files, found.network, found.scopes] == [(1 << bits) - 1 for bits in (files, network, scopes)]


def test_nothing_is_asked_of_a_kernel_without_it(monkeypatch, outside):
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    assert run(error_of, (outside / "secret").read_text) == 0


def test_what_stays_open_is_said_by_version():
    assert landlock.left_open(6) == landlock.left_open(99) == []
    assert [len(landlock.left_open(version)) for version in (0, 1, 2, 3, 5)] == [3, 2, 2, 1, 1]


@pytest.mark.parametrize(
    ("version", "said"),
    [(0, ["lacks Landlock", "reading and writing"]), (2, ["of version 2", "truncating"]), (5, ["signalling"]), (6, [])],
)
def test_a_run_says_once_what_stays_open(version, said, monkeypatch, tmp_path):
    (tmp_path / "zoo").mkdir()
    config = {"zoo": str(tmp_path / "zoo"), "frozen": str(tmp_path / "f"), "reports": str(tmp_path / "r")}
    pipeline = Pipeline(config, scans=True, taken=[])
    monkeypatch.setattr(landlock, "abi", lambda: version)
    lines = [sentence for sentence in announcing.warnings(pipeline) if "graph" in sentence]
    assert len(lines) == bool(said) and all(text in lines[0] for text in said)


# The same by TensorFlow's ops, which are on its own threads.


def reads(path: Path):
    import tensorflow as tf

    return tf.io.read_file(str(path / "secret"))


def lists(path: Path):
    import tensorflow as tf

    return tf.io.matching_files(str(path / "*"))


def reads_lines(path: Path):
    import tensorflow as tf

    lines = tf.raw_ops.TextLineDataset(filenames=[str(path / "secret")], compression_type="", buffer_size=0)
    return tf.raw_ops.DatasetToSingleElement(dataset=lines, output_types=[tf.string], output_shapes=[[]])[0]


def fills_a_table(path: Path):
    import tensorflow as tf

    table = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
    return tf.raw_ops.InitializeTableFromTextFileV2(
        table_handle=table, filename=str(path / "secret"), key_index=-2, value_index=-1
    )


def writes(path: Path):
    import tensorflow as tf

    return tf.raw_ops.WriteFile(filename=str(path / "new"), contents="written")


def writes_over(path: Path):
    import tensorflow as tf

    return tf.raw_ops.WriteFile(filename=str(path / "secret"), contents="written")


def makes_directories(path: Path):
    import tensorflow as tf

    return tf.raw_ops.WriteFile(filename=str(path / "new" / "file"), contents="written")


def saves(path: Path):
    import tensorflow as tf

    return tf.raw_ops.SaveV2(prefix=str(path / "new"), tensor_names=["x"], shape_and_slices=[""], tensors=[[1.0]])


def prints(path: Path):
    import tensorflow as tf

    return tf.raw_ops.PrintV2(input="written", output_stream=f"file://{path / 'new'}")


def debugs(path: Path):
    import tensorflow as tf

    return tf.raw_ops.DebugIdentityV3(input=[1.0], tensor_name="x:0", debug_urls=[f"file://{path}"])


def maps_into_memory(path: Path):
    import tensorflow as tf

    return tf.raw_ops.ImmutableConst(dtype=tf.uint8, shape=[6], memory_region_name=str(path / "secret"))


def caches(path: Path):
    import tensorflow as tf

    numbers = tf.raw_ops.RangeDataset(start=0, stop=1, step=1, output_types=[tf.int64], output_shapes=[[]])
    cached = tf.raw_ops.CacheDataset(
        input_dataset=numbers, filename=str(path / "new"), output_types=[tf.int64], output_shapes=[[]]
    )
    return tf.raw_ops.DatasetToSingleElement(dataset=cached, output_types=[tf.int64], output_shapes=[[]])[0]


READERS = [reads, lists, reads_lines, fills_a_table, maps_into_memory]
WRITERS = [writes, writes_over, makes_directories, saves, prints, debugs, caches]


def said_by_tensorflow(build, path: Path) -> str:
    """What TensorFlow says of a graph that it cannot run, or that finds no file; else empty."""
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        try:
            value = session.run(build(path))
        except tf.errors.OpError as error:
            return type(error).__name__
    return "nothing was found" if build is lists and not len(value) else ""


def attempted(build, path: Path, readable: tuple) -> tuple[str, dict, str]:
    """What TensorFlow says in the sandbox, what is in `path` then, and what TensorFlow says outside of the sandbox."""
    try:
        inside = run(said_by_tensorflow, build, path, readable=readable)
    except Problem as problem:
        inside = problem.cause
    return inside, state(path), said_by_tensorflow(build, path)


@pytest.mark.parametrize("build", READERS)
def test_no_op_reads_a_file_outside(build, outside):
    inside, _, freely = in_fresh_process(attempted, build, outside, ())
    assert inside and not freely


@pytest.mark.parametrize("build", READERS)
def test_ops_read_what_is_given(build, outside):
    assert in_fresh_process(attempted, build, outside, (str(outside),))[0] == ""


@pytest.mark.parametrize("build", WRITERS)
@pytest.mark.parametrize("readable", [False, True])
def test_no_op_writes_a_file_outside(build, readable, outside):
    before = state(outside)
    _, after, freely = in_fresh_process(attempted, build, outside, (str(outside),) if readable else ())
    assert after == before
    assert not freely and state(outside) != before
