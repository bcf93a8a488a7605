"""Whether a verified frozen graph gives what TensorFlow itself gives in plain sessions, on feeds of its own."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf

import kinds
from permafrost.judge import judging
from permafrost.outcome import Problem
from random_graphs import FEEDS
from stages import default_settings, frozen, imported, sources

v1 = tf.compat.v1
# How often TensorFlow is asked what a graph gives, where its runs differ or another than the frozen graph's comes.
_THREADS = (0, 1, 2, 8, 0, 1, 2, 8)


@dataclass
class Outcome:
    """What became of a graph: the judge's word, and the feeds on which a frozen graph that it verified differs."""

    verdict: str
    unordered: bool = False
    differing: list = field(default_factory=list)


def compared(build, directory: Path) -> Outcome:
    """Freezes and judges a graph whose output is `y`, and compares what was verified with TensorFlow's own runs."""
    kinds.save(build, directory)
    (source,) = sources(directory).values()
    try:
        record = imported(source, outputs=["y"])
        provenance, path = frozen(record, directory / "frozen")
        found = judging.judge(record, provenance, str(path), default_settings(), str(directory))
    except Problem as problem:
        return Outcome(f"{problem.cause}: {problem.message}")
    if found.finding:
        return Outcome(f"{found.finding.cause}: {found.finding.message}")
    unordered = any("in no order" in repair.repair for repair in provenance.repairs)
    with tf.Graph().as_default() as ours:
        tf.import_graph_def(v1.GraphDef.FromString(path.read_bytes()), name="")
    with tf.Graph().as_default() as theirs:
        saver = v1.train.import_meta_graph(record.meta)

    def restored(session, feed: np.ndarray):
        saver.restore(session, record.prefix)
        return _value(session, feed)

    return Outcome("verified", unordered, _differences(ours, theirs, restored))


def _differences(ours, theirs, restored) -> list[tuple]:
    """(feed, what TensorFlow gives in some runs, what the frozen graph gives), where none of the former is the latter.

    Each run of TensorFlow's begins with a restore of all that a run before it may have written.
    """
    found = []
    with contextlib.ExitStack() as stack:
        frozen_session = stack.enter_context(v1.Session(graph=ours))
        sessions: list = []
        for feed in FEEDS:
            value, seen = _value(frozen_session, feed), []
            for position, threads in enumerate(_THREADS):
                if position == len(sessions):
                    sessions.append(v1.Session(graph=theirs, config=_config(threads)))
                    stack.callback(sessions[-1].close)
                seen.append(restored(sessions[position], feed))
                if _same(seen[-1], value):
                    break
            else:
                found.append((feed.tolist(), seen, value))
    return found


def _config(threads: int):
    return v1.ConfigProto(inter_op_parallelism_threads=threads, intra_op_parallelism_threads=threads)


def _value(session, feed: np.ndarray):
    try:
        return session.run("y:0", {"x:0": feed} if _takes_x(session.graph) else {}).tolist()
    except tf.errors.OpError as error:
        return type(error).__name__


def _takes_x(graph) -> bool:
    try:
        graph.get_tensor_by_name("x:0")
    except KeyError:
        return False
    return True


def _same(a, b) -> bool:
    # TensorFlow's own optimisers round otherwise; another value of a variable differs by far more.
    is_error = isinstance(a, str) or isinstance(b, str)
    return a == b if is_error else np.allclose(a, b, rtol=1e-4, atol=1e-4, equal_nan=True)
