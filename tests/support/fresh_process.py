"""Runs what forks, in a process that has TensorFlow loaded and has run no op, as the warm worker's children are.

TensorFlow's threads do not survive a fork: after a test has run a session in this process, a child that it forks waits
for them for ever.
"""

import multiprocessing
import multiprocessing.util
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver
from unittest import mock

# The directory of its socket is remembered; a test may have another TMPDIR, whose path is too long for one.
multiprocessing.util.get_temp_dir()
_context = multiprocessing.get_context("forkserver")
# Our own modules take twenty times as long as the fork does, where each process has to load them.
_context.set_forkserver_preload(["preloaded"])


def in_fresh_process(work, *args, **kwargs):
    """work(*args, **kwargs), a function of a module, with what it returns or raises."""
    # Python 3.11 tells the process that forks nothing of this one's path.
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))):
        forkserver.ensure_running()
    with ProcessPoolExecutor(1, mp_context=_context) as process:
        return process.submit(work, *args, **kwargs).result()
