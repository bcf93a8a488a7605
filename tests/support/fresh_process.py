"""Runs what forks, in a process that has TensorFlow loaded and has run no op, as the warm worker's children are.

TensorFlow's threads do not survive a fork: after a test has run a session in this process, a child that it forks waits
for them for ever.
"""

import multiprocessing
import multiprocessing.util
from concurrent.futures import ProcessPoolExecutor

# The directory of its socket is remembered; a test may have another TMPDIR, whose path is too long for one.
multiprocessing.util.get_temp_dir()
_forkserver = multiprocessing.get_context("forkserver")
_forkserver.set_forkserver_preload(["tensorflow"])


def in_fresh_process(work, *args, **kwargs):
    """work(*args, **kwargs), a function of a module, with what it returns or raises."""
    with ProcessPoolExecutor(1, mp_context=_forkserver) as process:
        return process.submit(work, *args, **kwargs).result()
