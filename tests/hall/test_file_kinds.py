"""What a file is said to be that is not what its name says: archives, pages, and what text modes do to binary files."""

import bz2
import gzip
import io
import lzma
import pickle
import random
import struct
import tarfile
import zipfile

import pytest
from google.protobuf import text_format

from conftest import SAMPLE_ZOO
from permafrost import file_kinds
from permafrost.checkpoint.reader import open_checkpoint
from permafrost.graph import graph_sources
from permafrost.graph.metagraph import read_meta_graph
from permafrost.graph.protos import meta_graph_pb2, saved_model_pb2
from permafrost.model import Graph
from permafrost.outcome import Problem

MODEL = SAMPLE_ZOO / "conv_batchnorm"
META = next(MODEL.glob("*.meta"))
PREFIX = str(META).removesuffix(".meta")
DATA = ".data-00000-of-00001"


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model", content)
    return file.getvalue()


def tarred(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("model")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


WRAPPED = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zip archive": zipped,
    "tar archive": tarred,
    "pickle": pickle.dumps,
    "HTML page": lambda _: b"\n <!DOCTYPE html><html><head><title>Sign in</title>",
    "XML": lambda _: b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "JSON": lambda _: b'{"message": "Not Found"}',
    "'404: Not Found'": lambda _: b"404: Not Found\n",
    "UTF-16": lambda content: content.decode("latin-1").encode("utf-16"),
    "U+FFFD": lambda content: content.decode("utf-8", "replace").encode(),
    "each byte above 127 is two": lambda content: content.decode("latin-1").encode(),
    "question mark": lambda content: content.decode("ascii", "replace").encode("ascii", "replace"),
}
CARRIAGE_RETURNS = {"carriage return": lambda content: content.replace(b"\n", b"\r\n")}


def said_of(read, path) -> Problem:
    with pytest.raises(Problem) as caught:
        read(path)
    return caught.value


@pytest.mark.parametrize("said", [*WRAPPED, *CARRIAGE_RETURNS])
def test_a_meta_graph_that_is_something_else_is_named(tmp_path, said):
    path = tmp_path / "model.meta"
    path.write_bytes((WRAPPED | CARRIAGE_RETURNS)[said](META.read_bytes()))
    problem = said_of(read_meta_graph, path)
    assert problem.cause == "bad_meta_graph" and str(path) in problem.message and said in problem.message


@pytest.mark.parametrize(
    ("said", "content"),
    [
        ("is a GraphDef", lambda meta: meta.graph_def.SerializeToString()),
        ("is a GraphDef", lambda meta: text_format.MessageToString(meta.graph_def).encode()),
        ("saved_model.pb", lambda meta: saved_model_pb2.SavedModel(meta_graphs=[meta]).SerializeToString()),
        ("byte order mark", lambda meta: b"\xef\xbb\xbf" + text_format.MessageToString(meta).encode()),
        ("UTF-16", lambda meta: text_format.MessageToString(meta).encode("utf-16")),
        ("table of a checkpoint", lambda meta: (MODEL / f"{PREFIX}.index").read_bytes()),
    ],
)
def test_another_message_in_the_place_of_a_meta_graph_is_named(tmp_path, said, content):
    path = tmp_path / "model.meta"
    path.write_bytes(content(meta_graph_pb2.MetaGraphDef.FromString(META.read_bytes())))
    problem = said_of(read_meta_graph, path)
    assert problem.cause == "bad_meta_graph" and said in problem.message and problem.hint


def files_of(meta) -> dict[str, bytes]:
    return {
        "a meta graph": meta.SerializeToString(),
        "a GraphDef": meta.graph_def.SerializeToString(),
        "a SavedModel": saved_model_pb2.SavedModel(meta_graphs=[meta]).SerializeToString(),
    }


@pytest.mark.parametrize("said", ["a meta graph", "a GraphDef", "a SavedModel"])
@pytest.mark.parametrize("form", ["meta_graph", "graph_def", "saved_model"])
@pytest.mark.parametrize("model", ["conv_batchnorm", "functions", "lookup_table"])
def test_each_of_the_three_is_told_from_the_others(tmp_path, said, form, model):
    own = {"meta_graph": "a meta graph", "graph_def": "a GraphDef", "saved_model": "a SavedModel"}[form]
    path = tmp_path / "saved_model.pb"
    meta = next((SAMPLE_ZOO / model).glob("*.meta")).read_bytes()
    path.write_bytes(files_of(meta_graph_pb2.MetaGraphDef.FromString(meta))[said])
    if said == own:
        assert graph_sources.read(Graph(form=form, path=str(path))).graph_def.node
    else:
        problem = said_of(graph_sources.read, Graph(form=form, path=str(path)))
        assert problem.cause == "bad_meta_graph" and f"is {said}" in problem.message and f"not {own}" in problem.message


def read_all(prefix) -> None:
    with open_checkpoint(prefix) as checkpoint:
        checkpoint.check_content()


def copied(tmp_path, ending: str, change) -> str:
    for other in (".index", DATA):
        content = (MODEL / f"{PREFIX}{other}").read_bytes()
        (tmp_path / f"m{other}").write_bytes(change(content) if other == ending else content)
    return str(tmp_path / "m")


@pytest.mark.parametrize("ending", [".index", DATA])
@pytest.mark.parametrize("said", WRAPPED)
def test_a_file_of_a_checkpoint_that_is_something_else_is_named(tmp_path, said, ending):
    problem = said_of(read_all, copied(tmp_path, ending, WRAPPED[said]))
    assert problem.cause in ("not_a_checkpoint", "corrupt")
    assert said in problem.message and f"m{ending}" in problem.message and problem.hint


def test_a_single_line_end_that_was_converted_is_told_by_the_size(tmp_path):
    def with_one_line_end(content: bytes) -> bytes:
        assert content.replace(b"\n", b"\r\n").count(b"\r\n") > 1, "the sample has line feeds in its weights"
        return content.replace(b"\n", b"\r\n")

    problem = said_of(read_all, copied(tmp_path, DATA, with_one_line_end))
    assert problem.cause == "corrupt" and "carriage return" in problem.message


def test_what_is_merely_damaged_is_called_nothing_else(tmp_path):
    generator = random.Random(5)
    for change in (
        lambda c: c[: len(c) // 2],
        lambda c: c[:100] + bytes([c[100] ^ 1]) + c[101:],
        lambda c: bytes(len(c)),
    ):
        problem = said_of(read_all, copied(tmp_path, DATA, change))
        assert problem.cause in ("truncated", "corrupt") and " is a" not in problem.message
    for size in (9, 100, 10_000):
        assert file_kinds.other(generator.randbytes(size)) is None
    small = struct.pack("<500i", *(generator.randrange(128) for _ in range(500)))
    assert file_kinds.other(small) is None, "integers that are small are no text"
