"""The sandbox: results come back whole, limits hold, nothing is left behind."""

import contextlib
import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from fresh_process import in_fresh_process
from permafrost.outcome import TRANSIENT, Problem
from permafrost.sandbox import runner
from permafrost.sandbox.process_status import status

pytestmark = pytest.mark.forks


def run(work, *args, seconds=20, memory_mb=300):
    return runner.run(work, *args, seconds=seconds, memory_mb=memory_mb)


def has_ended(pid: int) -> bool:
    """Whether the process is gone within 5 s, or is a zombie that nobody has waited for."""
    for _ in range(500):
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)
                continue
        return True
    return False


def problem(work, *args, **limits) -> Problem:
    with pytest.raises(Problem) as raised:
        run(work, *args, **limits)
    return raised.value


def test_a_result_comes_back():
    assert run(lambda a, b: {"sum": a + b, "none": None}, 2, 3) == {"sum": 5, "none": None}


def test_a_large_result_does_not_block():
    assert run(lambda: "ä" * 3_000_000) == "ä" * 3_000_000


def test_a_result_over_the_limit_is_refused():
    with pytest.raises(RuntimeError, match="more than"):
        run(lambda: "x" * (65 << 20))


def test_a_result_that_is_not_json_is_refused():
    with pytest.raises(RuntimeError, match="not JSON"):
        run(lambda: object())


def test_a_problem_passes_as_it_is():
    def work():
        raise Problem("no_feed", "placeholder 'x' has no value", "say so")

    raised = problem(work)
    assert (raised.cause, raised.message, raised.hint) == ("no_feed", "placeholder 'x' has no value", "say so")


def test_another_exception_gives_its_text_and_traceback(capsys):
    def work():
        raise KeyError("lost")

    with pytest.raises(RuntimeError, match="KeyError: 'lost'"):
        run(work)
    assert "Traceback" in capsys.readouterr().err


def test_time_is_limited():
    began = time.monotonic()
    raised = problem(lambda: time.sleep(60), seconds=0.3)
    assert (raised.cause, raised.message) == ("timeout", "TensorFlow did not finish within 0.3 s")
    assert time.monotonic() - began < 5


def test_a_busy_printer_is_stopped_and_cut(capsys):
    def work():
        while True:
            print("x" * 1000)

    assert problem(work, seconds=0.5).cause == "timeout"
    printed = capsys.readouterr().err
    assert 1 << 20 <= len(printed) < (1 << 20) + 200
    assert "cut off" in printed


def test_allocated_memory_is_limited():
    assert problem(lambda: np.ones(1 << 29).sum(), memory_mb=200).cause == "memory"


def test_memory_taken_bit_by_bit_is_limited():
    def work():
        held = []
        while True:
            held.append(np.ones(1 << 17))
            time.sleep(0.001)

    assert problem(work, memory_mb=100).cause == "memory"


def given_back() -> int:
    """How many bytes go back to the kernel of 256 MiB that are freed, piece by piece."""
    pieces = [np.ones(1 << 21) for _ in range(16)]
    held = status()["RssAnon"]
    del pieces
    return held - status()["RssAnon"]


def freed_in_a_child(kept_mb: int) -> int:
    return runner.run(given_back, seconds=20, memory_mb=500, kept_mb=kept_mb)


@pytest.mark.parametrize(("kept_mb", "is_kept"), [(4, False), (1024, True)])
def test_pieces_of_memory_that_are_not_to_be_kept_are_given_back(kept_mb, is_kept):
    # A fresh process, whose child goes on with the main thread's memory: what malloc has for other threads goes anyway.
    freed = in_fresh_process(freed_in_a_child, kept_mb)
    assert (freed < 16 << 20) == is_kept and (freed > 240 << 20) != is_kept


def test_shared_memory_is_limited():
    def work():
        import mmap

        mmap.mmap(-1, 300 << 20).write(b"1" * (300 << 20))
        time.sleep(30)

    assert problem(work, memory_mb=100).cause == "memory"


def test_memory_of_descendants_is_limited():
    def work():
        if os.fork() == 0:
            held = np.ones(1 << 25)  # 256 MiB, of which the child itself has nothing
            time.sleep(30 * held[0])
        os.wait()

    assert problem(work, memory_mb=100).cause == "memory"


def test_memory_that_the_parent_holds_does_not_count():
    held = np.ones(1 << 25)  # 256 MiB
    assert run(lambda: float(held[:10].sum()), memory_mb=50) == 10


def test_abort_is_a_crash_with_what_was_said_last():
    def work():
        os.write(2, b"F0000 cpu.cc:7] Check failed: a == b\n*** Check failure stack trace: ***\n    @ 0x1 f()\n")
        os.abort()

    raised = problem(work)
    assert raised.cause == "crash"
    assert raised.message == "TensorFlow ended with SIGABRT: F0000 cpu.cc:7] Check failed: a == b"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_is_ended_from_outside_is_no_fault_of_the_graph(number):
    def work():
        print("std::bad_alloc was caught before", flush=True)
        os.kill(os.getpid(), number)
        time.sleep(20)

    raised = problem(work)
    assert raised.cause == "killed" and raised.cause in TRANSIENT
    assert signal.Signals(number).name in raised.message


def test_a_fault_of_the_disk_passes_as_it_is():
    def work():
        raise OSError(errno.EIO, "Input/output error", "a file")

    with pytest.raises(OSError) as raised:
        run(work)
    assert (raised.value.errno, raised.value.filename) == (errno.EIO, "a file")


def test_a_segmentation_fault_is_a_crash():
    assert "SIGSEGV" in problem(lambda: ctypes.string_at(0)).message


@pytest.mark.parametrize("leave", [os._exit, sys.exit])
def test_an_exit_without_a_result_is_a_crash(leave):
    raised = problem(leave, 3)
    assert (raised.cause, raised.message) == ("crash", "TensorFlow ended with exit status 3 and without a result")


def test_bad_alloc_is_memory():
    def work():
        os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
        os.abort()

    assert problem(work).cause == "memory"


@pytest.mark.parametrize(
    "sent",
    [b"", b"\xff" * 7, b"\0" * 8, b"\0" * 7 + b"\2[]", b"\0" * 7 + b"\x0d" + b'{"problem":1}', b"\xff" * 9],
    ids=["nothing", "half a length", "empty", "a list", "a malformed problem", "a huge length"],
)
def test_a_forged_answer_harms_nobody(sent):
    def work():
        written = 0
        for descriptor in range(3, 100):
            with contextlib.suppress(OSError):
                os.write(descriptor, sent)
                written += 1
        os._exit(0 if written else 9)

    with pytest.raises((Problem, RuntimeError)) as raised:
        run(work)
    assert "exit status 9" not in str(raised.value)


def test_the_working_directory_is_empty_and_goes_away():
    def work():
        listed = os.listdir()
        Path("left").write_text("behind")
        return [os.getcwd(), listed, os.environ["CUDA_VISIBLE_DEVICES"]]

    directory, listed, devices = run(work)
    assert (listed, devices) == ([], "-1")
    assert not os.path.exists(directory)
    assert os.getcwd() != directory


def kept(work, path) -> bytes | None:
    """What is at `path` once `work` has run in the sandbox, which is to hand out its file `made`."""
    runner.run(work, seconds=20, memory_mb=300, keeps={"made": path})
    return path.read_bytes() if path.exists() else None


def test_a_file_is_handed_out_whole(tmp_path):
    assert kept(lambda: Path("made").write_bytes(b"abc") and None, tmp_path / "there") == b"abc"
    assert os.listdir(tmp_path) == ["there"]


def test_what_is_not_left_takes_away_what_was_there(tmp_path):
    (tmp_path / "there").write_bytes(b"of an earlier run")
    assert kept(lambda: None, tmp_path / "there") is None


@pytest.mark.parametrize("leave", [lambda: os.symlink("/etc/hostname", "made"), lambda: os.mkdir("made")])
def test_no_link_nor_directory_is_handed_out(leave, tmp_path):
    assert kept(leave, tmp_path / "there") is None


def test_nothing_is_handed_out_of_a_child_that_failed(tmp_path):
    def work():
        Path("made").write_bytes(b"half")
        raise Problem("internal", "no")

    with pytest.raises(Problem):
        kept(work, tmp_path / "there")
    assert not os.listdir(tmp_path)


def test_files_are_limited():
    def work():
        Path("large").write_bytes(bytes(65 << 20))

    with pytest.raises(RuntimeError, match="File too large"):
        run(work)


def test_the_network_is_cut_or_said_to_be_open(capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def work():
            try:
                socket.create_connection(server.getsockname(), timeout=2).close()
            except OSError:
                return False
            return True

        reached = run(work)
    assert reached == ("network" in capsys.readouterr().err)


def test_the_parent_cannot_be_written_to():
    def work(parent):
        try:
            with Path(f"/proc/{parent}/mem").open("r+b"):
                return True
        except OSError:
            return False

    assert run(work, os.getpid()) is False


def test_descendants_end_with_the_child():
    def work():
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.setsid()
            grandchild = os.fork()
            if grandchild:
                os.write(writing, f"{grandchild}\n".encode())
            time.sleep(300)
        return [child, int(os.read(reading, 100))]

    assert all(has_ended(pid) for pid in run(work))


def test_the_child_dies_with_its_parent(tmp_path):
    script = (
        "import os, sys, time\nfrom permafrost.sandbox import runner\n"
        "def work():\n    print(os.getpid())\n    time.sleep(300)\n"
        "runner.run(work, seconds=300, memory_mb=100)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(runner.__file__).parents[2]), "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, env=environment)
    with parent.stderr:
        child = next(int(line) for line in parent.stderr if line.strip().isdigit())
    parent.kill()
    parent.wait()
    assert has_ended(child)


def test_no_file_descriptor_or_process_is_left():
    before, children = len(os.listdir("/proc/self/fd")), psutil.Process().children()
    for _ in range(3):
        run(int)
        problem(os._exit, 1)
    assert len(os.listdir("/proc/self/fd")) == before
    assert psutil.Process().children() == children


def doubled_by_tensorflow(abort: bool) -> list[float]:
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [2])
        if abort:
            session.run(tf.raw_ops.Abort(error_msg="enough of it"))
        return session.run(x * 2, {x: [1, 2]}).tolist()


def too_large_for_tensorflow() -> float:
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        n = v1.placeholder(tf.int32, [])
        return session.run(tf.reduce_sum(tf.fill([n, n], 1.0) + 1), {n: 9_000}).item()


def refused_by_tensorflow() -> None:
    import tensorflow as tf

    raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


def test_tensorflow_runs_in_it_and_its_abort_is_caught():
    assert in_fresh_process(run, doubled_by_tensorflow, False) == [2, 4]
    raised = in_fresh_process(problem, doubled_by_tensorflow, True)
    assert raised.cause == "crash"
    assert signal.Signals.SIGABRT.name in raised.message and "enough of it" in raised.message


def test_tensorflow_out_of_memory_is_memory():
    assert in_fresh_process(problem, too_large_for_tensorflow, memory_mb=200).cause == "memory"
    assert in_fresh_process(problem, refused_by_tensorflow).cause == "memory"
