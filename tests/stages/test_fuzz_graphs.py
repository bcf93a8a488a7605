"""Mutated meta graphs and made-up settings: whatever they say, importing and freezing end with a cause of their own.

No graph is run here. PERMAFROST_FUZZ_EXAMPLES is the number of examples of each test (150 if it is not set, and always
the same ones then).
"""

import datetime
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from conftest import SAMPLE_ZOO
from fuzzing import fuzz
from permafrost import config_schema, recording
from permafrost import settings as config_settings
from permafrost.graph import graph_sources
from permafrost.graph.index import tensor_name
from permafrost.graph.metagraph import read_meta_graph
from permafrost.graph.protos import MetaGraphDef
from permafrost.model import GraphFiles, Limits, Model, Settings
from permafrost.outcome import CAUSES, OK, Problem
from permafrost.records import ImportRecord, Provenance, Record
from permafrost.sandbox import limits
from permafrost.stages import freeze_model, import_model, list_model
from stages import default_settings, sources

MODELS = (
    "linear",
    "cond",
    "functions",
    "lookup_table",
    "embedding",
    "lstm_while",
    "resource_variables",
    "conv_batchnorm",
)


def ended(kind: type[Record], work) -> Record:
    """The record of a stage that did `work`; nothing but a cause of its own is let through."""
    path = Path(os.environ["PYTEST_DIRECTORY"], "record.json")
    with recording.recording("stage", recording.begun(kind, "a"), path) as record:
        limits.held(Limits(timeout=60), work, record)
    assert record.cause != "internal", record.message
    assert record.cause in CAUSES or not record.cause
    return record


def import_and_freeze(source: Model, chosen: Settings) -> Record:
    """The last record of importing and freezing a model, with what the trial run adds to the first put in its place."""
    record = ended(ImportRecord, lambda record: import_model.import_model(source, chosen, record))
    if record.status != OK:
        return record
    import_model.ranking(record)
    record.batches, record.rehearsal, record.stale_shapes = [], "", ""
    pb = Path(os.environ["PYTEST_DIRECTORY"], "frozen_graph.pb")
    provenance = ended(Provenance, lambda made: freeze_model.freeze(record, chosen, pb, made))
    frozen = list_model.frozen_graph_of(provenance, pb)
    list_model.findings(record, provenance, graph_sources.read(record.graph), frozen, [])
    list_model.picture(provenance, frozen)
    return provenance


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """For each model its source and the content of its meta graph."""
    os.environ["PYTEST_DIRECTORY"] = str(tmp_path_factory.mktemp("fuzz"))
    found = {}
    for name in MODELS:
        source = next(iter(sources(SAMPLE_ZOO / name).values()))
        found[name] = (source, read_meta_graph(source.meta).SerializeToString())
    yield found
    del os.environ["PYTEST_DIRECTORY"]


numbers = st.sampled_from([0, 1, -1, 2, 7, 23, 101, 999, -(1 << 31), (1 << 31) - 1, 1 << 20]) | st.integers(-9, 30)
longs = numbers | st.sampled_from([(1 << 63) - 1, -(1 << 63), 1 << 40])
odd = st.sampled_from(
    [
        "",
        ":",
        ":0",
        "^",
        "^^",
        "x:",
        "x:00",
        "x:-1",
        "x:\u00b2",
        "x:" + "9" * 5000,
        "x:4294967296",
        "/",
        "a b",
        "\u00e9",
        "\n",
    ]
)
suffixes = st.sampled_from(["", ":0", ":1", ":7", ":00", ":\u00b2", ":" + "9" * 5000, ":-1", ":99999999999", ":0:0"])


@st.composite
def texts(draw, known: list[str]) -> str:
    """A name of the graph, perhaps with an index or a caret, or something odd."""
    if draw(st.integers(0, 3)) == 0:
        return draw(odd | st.text(st.characters(codec="utf-8"), max_size=6))
    return draw(st.sampled_from(["", "", "", "^"])) + draw(st.sampled_from(known)) + draw(suffixes)


def mutate_message(data, message, known: list[str], depth: int = 0) -> None:
    """Changes one field of a protocol buffer message, at any depth, to a value of its type."""
    fields = [field for field in message.DESCRIPTOR.fields if depth < 6]
    present = [field for field, _ in message.ListFields()]
    if not fields:
        return
    field = data.draw(st.sampled_from(present + present + fields if present else fields))
    repeated, value = field.is_repeated, getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        mutate_map(data, value, field, known, depth)
    elif field.message_type is not None and repeated:
        mutate_repeated(data, value, known, depth)
    elif field.message_type is not None:
        value.SetInParent()
        mutate_message(data, value, known, depth + 1)
    elif repeated:
        mutate_list(data, value, field, known)
    else:
        setattr(message, field.name, scalar(data, field, known))


def mutate_map(data, value, field, known: list[str], depth: int) -> None:
    key_field = field.message_type.fields_by_name["key"]
    keys = sorted(value)
    key = data.draw(st.sampled_from(keys)) if keys and data.draw(st.integers(0, 5)) else scalar(data, key_field, known)
    entry = field.message_type.fields_by_name["value"]
    if keys and data.draw(st.integers(0, 4)) == 0:
        del value[keys[0] if key not in value else key]
    elif entry.message_type is not None:
        mutate_message(data, value[key], known, depth + 1)
    else:
        value[key] = scalar(data, entry, known)


def mutate_repeated(data, value, known: list[str], depth: int) -> None:
    action = data.draw(st.integers(0, 9)) if len(value) else 0
    if action == 0:
        mutate_message(data, value.add(), known, depth + 1)
        return
    at = data.draw(st.integers(0, len(value) - 1))
    if action == 1:
        del value[at]
    elif action == 2:
        value.append(value[at])
    else:
        mutate_message(data, value[at], known, depth + 1)


def mutate_list(data, value, field, known: list[str]) -> None:
    action = data.draw(st.integers(0, 3)) if len(value) else 0
    if action == 0:
        value.append(scalar(data, field, known))
    elif action == 1:
        del value[data.draw(st.integers(0, len(value) - 1))]
    else:
        value[data.draw(st.integers(0, len(value) - 1))] = scalar(data, field, known)


def scalar(data, field, known: list[str]):
    """A value for a field that is no message."""
    kind = field.cpp_type
    if kind == field.CPPTYPE_STRING:
        text = data.draw(texts(known))
        return text.encode() if field.type == field.TYPE_BYTES else text
    if kind == field.CPPTYPE_BOOL:
        return data.draw(st.booleans())
    if kind in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return data.draw(st.floats(width=32))
    if kind in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64):
        return abs(data.draw(numbers)) % (1 << 32)
    return data.draw(longs if kind == field.CPPTYPE_INT64 else numbers)


def mutated(data, content: bytes, changes: int) -> tuple[MetaGraphDef, list[str]]:
    """A meta graph with some changes, and the names that it had."""
    meta_graph = MetaGraphDef.FromString(content)
    known = [node.name for node in meta_graph.graph_def.node] + [node.op for node in meta_graph.graph_def.node]
    known += [function.signature.name for function in meta_graph.graph_def.library.function]
    for _ in range(changes):
        whole = data.draw(st.sampled_from([meta_graph, *[meta_graph.graph_def] * 5, meta_graph.saver_def]))
        mutate_message(data, whole, known)
    return meta_graph, known


@fuzz
@given(st.sampled_from(MODELS), st.integers(1, 4), st.data())
def test_mutated_meta_graphs(originals, name, changes, data):
    source, content = originals[name]
    meta_graph, known = mutated(data, content, changes)
    path = Path(os.environ["PYTEST_DIRECTORY"], "mutated.meta")
    path.write_bytes(meta_graph.SerializeToString())
    outputs = data.draw(st.just("auto") | st.lists(texts(known).filter(bool), min_size=1, max_size=2))
    import_and_freeze(replace(source, meta=str(path)), default_settings(outputs=outputs))


@fuzz
@given(st.sampled_from(MODELS), st.integers(0, 3), st.booleans(), st.booleans(), st.data())
def test_mutated_graphs_around_a_checkpoint(originals, name, changes, as_graph_def, with_own, data):
    source, content = originals[name]
    meta_graph, _ = mutated(data, content, changes)
    path = Path(os.environ["PYTEST_DIRECTORY"], "mutated.pb")
    path.write_bytes((meta_graph.graph_def if as_graph_def else meta_graph).SerializeToString())
    graphs = GraphFiles(own=[str(path)], others=[source.meta] if with_own else [])
    record = ended(
        ImportRecord,
        lambda record: import_model.import_model(replace(source, meta="", graphs=graphs), default_settings(), record),
    )
    assert record.status == OK or record.message


@pytest.mark.parametrize("text", ["x:\u00b2", "y0:" + "9" * 5000, "y0:99999999999", "x:-1", ":0", "x:"])
def test_an_input_that_names_no_tensor_is_refused(originals, text):
    source, content = originals["linear"]
    meta_graph = read_meta_graph(source.meta)
    node = next(node for node in meta_graph.graph_def.node if node.op in ("MatMul", "Mul", "AddV2", "Add"))
    node.input[0] = text
    path = Path(os.environ["PYTEST_DIRECTORY"], "odd.meta")
    path.write_bytes(meta_graph.SerializeToString())
    record = import_and_freeze(replace(source, meta=str(path)), default_settings(outputs=[node.name]))
    assert record.cause == "bad_meta_graph"
    assert repr(node.name) in record.message and len(record.message) < 500


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("x", ("x", 0)), ("x:1", ("x", 1)), ("x:00", ("x", 0)), ("x:012", ("x", 12)), ("x:-1", ("x:-1", 0)),
        ("x:\u00b2", ("x:\u00b2", 0)), ("x:\u0663", ("x:\u0663", 0)), (":0", (":0", 0)), ("", ("", 0)),
        ("x:", ("x:", 0)), ("a:b:2", ("a:b", 2)), ("x: 1", ("x: 1", 0)),
    ],
)  # fmt: skip
def test_names_of_tensors_are_split_as_tensorflow_does(text, parsed):
    assert tensor_name(text) == parsed


words = ["auto", "raw", "ema", "V2", "batch", 1 << 70, "x:0", "verified", "failed/corrupt"]
scalars = st.none() | st.booleans() | numbers | st.floats() | st.text(max_size=5) | st.sampled_from(words)
scalars |= st.dates(datetime.date(1970, 1, 1)) | st.integers(4999, 5001).map(lambda digits: 10**digits)
yaml_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=2),
    max_leaves=6,
)


@st.composite
def inputs(draw, known: list[str]) -> dict:
    """What `inputs:` of a model's settings could be, right or nearly so."""
    sizes = st.lists(st.none() | st.just("batch") | st.integers(-1, 5) | numbers, max_size=4)
    keys = {"shape": sizes, "range": st.lists(numbers | st.floats(), min_size=2, max_size=2), "value": yaml_values}
    keys |= {"file": st.sampled_from(["none.npz", "/dev/null", "\0"]), "key": st.text(max_size=3)}
    spec = st.fixed_dictionaries({}, optional=keys)
    return draw(st.dictionaries(texts(known), spec | yaml_values, max_size=3))


@fuzz
@given(st.sampled_from(MODELS), st.data())
def test_made_up_settings(originals, name, data):
    source, _ = originals[name]
    known = [node.name for node in read_meta_graph(source.meta).graph_def.node]
    names = st.lists(texts(known), max_size=3)
    likely = {
        "outputs": names,
        "inputs": inputs(known),
        "initializer_nodes": names,
        "weights": st.sampled_from(["raw", "ema"]),
    }
    likely |= {"variable_names_allowlist": names, "variable_names_denylist": names, "clear_devices": st.booleans()}
    likely |= {"checkpoint_version": st.sampled_from(["V1", "V2", None])}
    known_keys = sorted(config_schema.schema()["$defs"]["model"]["properties"])
    model = data.draw(st.fixed_dictionaries({}, optional=likely))
    model |= data.draw(st.dictionaries(st.sampled_from(known_keys), yaml_values, max_size=2))
    config = {"models": {"*": model}} | data.draw(
        st.dictionaries(
            st.sampled_from(["zoo", "frozen", "reports", "checkpoints", "on_failure", "x"]), yaml_values, max_size=1
        )
    )
    try:
        chosen = config_settings.for_model(config_settings.validate(config), "a", "a")
    except Problem as problem:
        assert problem.cause == "bad_setting"
        return
    import_and_freeze(source, replace(chosen, timeout=60, memory_mb=8192))
