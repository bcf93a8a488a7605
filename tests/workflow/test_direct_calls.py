"""Stages are asked for from Snakemake's own process, where that is the same as what a shell would do."""

import contextlib
import importlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from snakemake.executors import local
from snakemake.shell import shell

from permafrost.workflow import client, direct_calls, launch

BEGIN = launch.warm("")
STRICT = f"set -euo pipefail;  {BEGIN}"


@pytest.mark.parametrize("before", [BEGIN, STRICT, f"{STRICT}--if-running "])
@pytest.mark.parametrize("word", ["plain-1.5/a=b", "two words", "a'b", "$HOME `id` ; > | & \\", "", "-", "é\n*", '"'])
def test_what_is_read_is_what_a_shell_would_read(before, word):
    command = f"{before}freeze --model {shlex.quote(word)} last > {shlex.quote(f'logs/{word}.log')} 2>&1 "
    script, arguments, log = direct_calls.read(command, BEGIN)
    show = f"{sys.executable} -c 'import sys; print(ascii(sys.argv[1:]))'"
    shown = subprocess.check_output(["bash", "-c", f"{show} --model {shlex.quote(word)} last"], text=True)
    assert (script, ascii(arguments)) == (f"{client.SCRIPTS}/freeze.py", shown.strip())
    assert log == f"logs/{word}.log"


@pytest.mark.parametrize(
    "command",
    [
        "touch done > log 2>&1",
        f"{BEGIN}freeze a > log",
        f"{BEGIN}freeze a > log 2>&1; touch done",
        f"{BEGIN}freeze $HOME > log 2>&1",
        f"{BEGIN}freeze *.pb > log 2>&1",
        f'{BEGIN}freeze "$ZOO" > log 2>&1',
        f"{BEGIN}freeze ~ > log 2>&1",
        f"{BEGIN}freeze {{a,b}} > log 2>&1",
        f"{BEGIN}freeze a > log 2>&1 | tee more > log 2>&1",
        f"{BEGIN}freeze 'a > log 2>&1",
        f"{BEGIN}../freeze a > log 2>&1",
        f"{BEGIN}--start",
        f"module load x; {BEGIN}freeze a > log 2>&1",
    ],
)
def test_what_only_a_shell_can_read_goes_to_a_shell(command):
    assert direct_calls.read(command, BEGIN) is None


class House:
    """A worker that is played by the test, and a Snakemake that asks it for stages in the place of a shell.

    Args:
      answers: what the worker sends; it ends after that.
    """

    def __init__(self, monkeypatch, answers: list[bytes], waits: bool = False):
        self.answers, self.waits, self.heard = answers, waits, []
        module = importlib.import_module("snakemake.shell")
        monkeypatch.setattr(module, "sp", subprocess)
        monkeypatch.setattr(local.Executor, "cancel", local.Executor.cancel)
        monkeypatch.setattr(client, "Worker", lambda: SimpleNamespace(connect=self.connect))
        self.began = threading.Event()
        direct_calls.use(BEGIN)
        self.start = module.sp.Popen
        self.cancel = lambda: local.Executor.cancel(SimpleNamespace(shutdown=lambda: self.heard.append("shutdown")))

    def connect(self) -> socket.socket:
        own, given = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        threading.Thread(target=self.serve, args=(own,)).start()
        return given

    def serve(self, own: socket.socket) -> None:
        message, descriptors, _, _ = socket.recv_fds(own, 16, 5)
        with open(descriptors[0], "rb") as file:
            file.seek(0)
            _umask, self.script, count, *self.fields = file.read().split(b"\0")
        self.streams, self.arguments = message, self.fields[: int(count)]
        os.write(descriptors[3], b"out\n")
        os.write(descriptors[4], b"err\n")
        for descriptor in descriptors[1:]:
            os.close(descriptor)
        self.began.set()
        if self.waits:
            self.heard.append(own.recv(16))
        for answer in self.answers:
            own.send(answer)
        own.close()


def call(log: str, words: str = "--model 'a b'") -> str:
    return f"{BEGIN}freeze {words} > {log} 2>&1"


@pytest.mark.parametrize("status", [0, 3])
def test_snakemake_has_a_stage_run_without_a_shell(monkeypatch, tmp_path, status):
    house = House(monkeypatch, [b"begun 2147483647", b"ended %d" % status])
    monkeypatch.setattr(subprocess, "Popen", None)  # which would start a shell
    monkeypatch.setenv("PERMAFROST_TEST", "ünlucky")
    with pytest.raises(subprocess.CalledProcessError) if status else contextlib.nullcontext():
        shell(call(f"{tmp_path}/log"))
    assert house.script == f"{client.SCRIPTS}/freeze.py".encode()
    assert house.arguments == [b"--model", b"a b"]
    assert "PERMAFROST_TEST=ünlucky".encode() in house.fields
    assert house.streams == bytes([0, 0, 1, 2])
    assert (tmp_path / "log").read_text() == "out\nerr\n"


def test_another_command_goes_to_the_shell(monkeypatch, tmp_path):
    house = House(monkeypatch, [])
    shell(f"echo there > {tmp_path}/log 2>&1")
    assert (tmp_path / "log").read_text() == "there\n"
    assert not house.began.is_set()


@pytest.mark.parametrize("running", [None, OSError("no directory"), client.Fault("another user's")])
def test_where_no_worker_can_be_used_the_shell_is(monkeypatch, tmp_path, running):
    house = House(monkeypatch, [])

    def connect():
        if running:
            raise running

    monkeypatch.setattr(house, "connect", connect)
    monkeypatch.setenv("PERMAFROST_PYTHON", "echo")
    monkeypatch.setenv("PERMAFROST_WARM", "the client")
    shell(call(f"{tmp_path}/log"))
    assert (tmp_path / "log").read_text() == "-I -S the client freeze --model a b\n"


def test_where_the_worker_ends_before_the_stage_begins_the_shell_runs_it(monkeypatch, tmp_path):
    House(monkeypatch, [])
    monkeypatch.setenv("PERMAFROST_PYTHON", "echo")
    monkeypatch.setenv("PERMAFROST_WARM", "the client")
    shell(call(f"{tmp_path}/log"))
    assert (tmp_path / "log").read_text() == "-I -S the client freeze --model a b\n"


def test_where_the_worker_ends_meanwhile_what_the_stage_had_started_ends(monkeypatch, tmp_path, capfd):
    left = subprocess.Popen(["sleep", "60"], start_new_session=True)
    house = House(monkeypatch, [b"begun %d" % left.pid])
    assert house.start(call(f"{tmp_path}/log"), env=dict(os.environ)).wait() == 1
    assert left.wait(10) == -signal.SIGKILL
    assert "can be run again" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("how", "number"),
    [
        (lambda house, stage: stage.kill(), signal.SIGKILL),
        (lambda house, stage: stage.terminate(), signal.SIGTERM),
        (lambda house, stage: house.cancel(), signal.SIGINT),
    ],
)
def test_a_stage_is_sent_signals(monkeypatch, tmp_path, how, number):
    house = House(monkeypatch, [b"ended 7"], waits=True)
    stage = house.start(call(f"{tmp_path}/log"), env=dict(os.environ))
    assert house.began.wait(10)
    how(house, stage)
    assert stage.wait() == 7
    assert bytes([number]) in house.heard
    stage.kill()  # What has ended is left alone.


def test_a_stage_that_begins_once_the_run_is_cancelled_is_interrupted(monkeypatch, tmp_path):
    house = House(monkeypatch, [b"ended 130"], waits=True)
    house.cancel()
    assert house.start(call(f"{tmp_path}/log"), env=dict(os.environ)).wait() == 130
    assert house.heard == ["shutdown", bytes([signal.SIGINT])]
