"""What is shown on a terminal: lines that are written over, lines that are wrapped, and how a run is stopped."""

import os
import pty
import select
import shutil
import sys
import time

import pytest

from conftest import SAMPLE_ZOO
from permafrost.workflow import screen
from zoo_runs import Workspace

LONG = "/".join(["component"] * 20)


def test_names_are_never_broken_and_sentences_go_on_below():
    text = f"  {LONG}: failed\n      a sentence {LONG} that goes on and on\n      -> {'word ' * 30}"
    wrapped = screen.wrapped(text, 60)
    assert LONG in wrapped and wrapped.count(LONG) == 2
    lines = wrapped.splitlines()
    assert all(len(line) <= 60 or LONG in line for line in lines) and " ".join(wrapped.split()) == " ".join(
        text.split()
    )
    assert lines[-1].startswith("         word")


def test_a_second_column_stays_one():
    lines = screen.wrapped(f"  inputs        {'word ' * 30}", 60).splitlines()
    assert len(lines) > 2 and all(line.startswith(" " * 16 + "word") for line in lines[1:])


def test_what_is_to_be_copied_stays_as_it_is():
    line = " " * 8 + "x: {shape: [batch, 28, 28, 1], range: [0, 1], and: " + "more " * 20 + "}"
    assert screen.wrapped(f"a\n{line}", 60) == f"a\n{line}"


def read_to_the_end(descriptor: int, interrupt_at: bytes) -> str:
    """All that a process prints on its terminal; when that has the text, Ctrl-C is typed once."""
    shown, is_typed = b"", False
    end = time.monotonic() + 240
    while time.monotonic() < end:
        if select.select([descriptor], [], [], 0.2)[0]:
            try:
                shown += os.read(descriptor, 65536)
            except OSError:  # The terminal is closed.
                break
        if not is_typed and interrupt_at in shown:
            os.write(descriptor, b"\x03")
            is_typed = True
    assert is_typed, shown
    return shown.decode(errors="replace")


@pytest.mark.slow
def test_ctrl_c_ends_with_a_sentence_and_without_commands(tmp_path):
    workspace = Workspace(tmp_path)
    for model in ("linear", "sum", "cond", "ema"):
        shutil.copytree(SAMPLE_ZOO / model, workspace.zoo / model)
    command = workspace.command("--cores", "2")
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(tmp_path)
        os.execv(sys.executable, command)
    shown = read_to_the_end(terminal, b" of 24 steps")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    for word in ("Exception", "CalledProcess", "WARM", "Command", "Traceback", "failed"):
        assert word not in shown
    last = shown.rstrip().splitlines()[-1]
    assert "Stopped after" in last and last.endswith("the next run goes on from there.")
