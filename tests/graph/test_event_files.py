"""The graphs in TensorBoard's events files, as TensorFlow writes them and reads them, and in damaged ones."""

import struct
from pathlib import Path

import crc32c
import pytest
import tensorflow as tf

import kinds
from permafrost.encoding import masked
from permafrost.graph import event_files, graph_sources
from permafrost.graph.event_files import graphs
from permafrost.model import Graph
from stages import problem_of

v1 = tf.compat.v1


def written(directory: Path, steps: int = 3, with_meta: bool = True) -> Path:
    """An events file of a small graph, with summaries before and after it."""
    with tf.Graph().as_default() as graph:
        kinds.plain(False)()
        saver = v1.train.Saver()
        writer = v1.summary.FileWriter(str(directory))
        summary = v1.Summary(value=[v1.Summary.Value(tag="loss", simple_value=0.5)])
        writer.add_summary(summary, 0)
        writer.add_graph(graph)
        if with_meta:
            writer.add_meta_graph(v1.MetaGraphDef(graph_def=graph.as_graph_def(), saver_def=saver.as_saver_def()))
        for step in range(steps):
            writer.add_summary(summary, step)
        writer.close()
    (path,) = directory.glob("*tfevents*")
    return path


def theirs(path: Path) -> list[tuple[bool, bytes]]:
    """The graphs in an events file, read by TensorFlow."""
    found = []
    for event in v1.train.summary_iterator(str(path)):
        for field, is_meta in (("graph_def", False), ("meta_graph_def", True)):
            if event.HasField(field):
                found.append((is_meta, getattr(event, field)))
    return found


def ours(path: Path) -> list[tuple[bool, bytes]]:
    return [(held.is_meta_graph, held.content) for held in graphs(str(path))]


def record(content: bytes, length: int | None = None) -> bytes:
    head = struct.pack("<Q", len(content) if length is None else length)
    crcs = [struct.pack("<I", masked(crc32c.crc32c(part))) for part in (head, content)]
    return head + crcs[0] + content + crcs[1]


@pytest.mark.parametrize("with_meta", [False, True])
def test_the_graphs_are_those_that_tensorflow_reads(tmp_path, with_meta):
    path = written(tmp_path, with_meta=with_meta)
    assert event_files.is_events(str(path))
    assert ours(path) == theirs(path) and len(ours(path)) == 1 + with_meta


def test_a_file_that_is_cut_off_has_the_graphs_before_the_cut(tmp_path):
    path = written(tmp_path)
    content, whole = path.read_bytes(), ours(path)
    path.write_bytes(content[:-3])
    assert ours(path) == whole
    cut = content.index(whole[1][1])
    path.write_bytes(content[: cut + 10])
    assert ours(path) == whole[:1]
    path.write_bytes(content[:40])
    problem = problem_of(graphs, str(path))
    assert problem.cause == "bad_meta_graph" and str(path) in problem.message


def test_a_graph_whose_checksum_is_wrong_is_none(tmp_path):
    path = written(tmp_path)
    content, whole = bytearray(path.read_bytes()), ours(path)
    content[content.index(whole[0][1]) + 5] ^= 1
    path.write_bytes(content)
    assert ours(path) == whole[1:]


@pytest.mark.parametrize("length", [1 << 20, 1 << 40, (1 << 64) - 1])
def test_no_length_is_believed(tmp_path, length):
    path = tmp_path / "events.out.tfevents.1.host"
    path.write_bytes(record(b"\x1a\x05brain", length))
    assert problem_of(graphs, str(path)).cause == "bad_meta_graph"


@pytest.mark.parametrize(
    "event",
    [
        b"\x22\xff\xff\xff\xff\x7fgraph",  # a graph longer than its event
        b"\x22" + b"\xff" * 20,  # a length without an end
        b"\x09",
        b"\x23\x24",
        b"",
        b"\x07" * 64,
    ],
)
def test_an_event_that_is_none_has_no_graph(tmp_path, event):
    path = tmp_path / "events.out.tfevents.1.host"
    path.write_bytes(record(event))
    assert problem_of(graphs, str(path)).cause == "bad_meta_graph"
    good = b"\x22\x03abc"
    path.write_bytes(record(event) + record(good) + record(good))
    assert ours(path) == [(False, b"abc")]


def test_what_is_no_graph_is_not_read(tmp_path):
    path = written(tmp_path)
    whole = ours(path)
    large = record(b"\x09" + b"\0" * 8 + b"\x2a\x80\x80\x80\x80\x02" + b"\0" * 100)
    content = path.read_bytes()
    path.write_bytes(content + large)
    assert ours(path) == whole
    # A summary of 4 GB, as a hole in the file, between two graphs.
    with path.open("r+b") as file:
        file.seek(0, 2)
        head = struct.pack("<Q", 1 << 32)
        file.write(head + struct.pack("<I", masked(crc32c.crc32c(head))) + b"\x2a\x80\x80\x80\x80\x10")
        file.seek((1 << 32) - 6 + 4, 1)
        file.write(record(b"\x22\x03abc"))
    assert ours(path) == [*whole, (False, b"abc")]


def test_a_named_events_file_gives_its_last_meta_graph(tmp_path):
    path = written(tmp_path)
    assert graph_sources.read(Graph(form="events", path=str(path))).saver_def.restore_op_name == "save/restore_all"
    first = graph_sources.read(Graph(form="events", path=str(path), number=0))
    assert first.graph_def.node and not first.saver_def.restore_op_name
    problem = problem_of(graph_sources.read, Graph(form="events", path=str(path), number=2))
    assert problem.cause == "bad_meta_graph"


def test_an_events_file_of_no_graph_is_told(tmp_path):
    path = tmp_path / "events.out.tfevents.1.host"
    path.write_bytes(record(b"\x22\x03abc"))
    problem = problem_of(graph_sources.held_in, str(path))
    assert problem.cause == "bad_meta_graph" and str(path) in problem.message
    assert problem_of(graphs, str(tmp_path / "events.out.tfevents.2.host")).cause == "unreadable"
