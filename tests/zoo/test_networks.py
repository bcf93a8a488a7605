"""Networks whose names end in a number, which are no steps of one series; steps of which the newest is not whole."""

import os

import pytest

from made_checkpoints import block, cause, footer, models, put, put_v2, says, scan, varint
from permafrost.graph.protos import tensor_bundle_pb2
from permafrost.zoo import state_file
from permafrost.zoo.networks import networks

ACTOR = {"actor/w": (4, 3), "actor/b": (3,), "global_step": ()}
CRITIC = {"critic/w": (4, 1), "critic/b": (1,), "global_step": ()}
WIDER = {"actor/w": (4, 9), "actor/b": (9,), "global_step": ()}
OTHER_HEAD = ACTOR | {"more/w": (4, 4), "more/b": (4,), "head/w": (4, 2)}
WITH_SLOTS = ACTOR | {"actor/w/Adam": (4, 3), "actor/b/Adam": (3,), "beta1_power": ()}


def holds(tensors: dict[str, tuple[int, ...]]) -> bytes:
    """The index of a checkpoint of tensors without any bytes."""
    header = tensor_bundle_pb2.BundleHeaderProto(num_shards=1)
    entries = []
    for name, shape in sorted(tensors.items()):
        entry = tensor_bundle_pb2.BundleEntryProto(dtype=1)
        for size in shape:
            entry.shape.dim.add(size=size)
        entries.append((name.encode(), entry.SerializeToString()))
    data, meta = block((b"", header.SerializeToString()), *entries), block()
    last = block((b"~", varint(0) + varint(len(data) - 5)))
    return data + meta + last + footer(len(data), len(meta) - 5, len(data) + len(meta), len(last) - 5)


def put_network(directory, name: str, tensors, meta: bytes | None = b"\n\0graph") -> None:
    put_v2(directory, name, meta)
    put(directory, **{f"{name}.index": holds(tensors)})


@pytest.mark.parametrize("other", [CRITIC, WIDER])
def test_networks_whose_names_end_in_a_number_are_models_each(tmp_path, other):
    put_network(tmp_path, "net-1", other)
    put_network(tmp_path, "net-2", ACTOR)
    found = models(tmp_path)
    assert {id: model.step for id, model in found.items()} == {"net": 2, "net-1": 1}
    assert not any(model.problem for model in found.values())
    assert "network of its own" in found["net-1"].findings[0] and "net-2" in found["net-1"].findings[0]
    assert set(models(tmp_path, "all")) == {"net-1", "net-2"}, "ids are those that they have among all steps"


@pytest.mark.parametrize(
    "older", [ACTOR, WITH_SLOTS, {"actor/w": (4, 3)}, ACTOR | {"more": (7,)}, {"actor/w": (4, 3), "global_step": ()}]
)
def test_steps_that_differ_in_a_part_are_of_one_series(tmp_path, older):
    put_network(tmp_path, "net-1", older)
    put_network(tmp_path, "net-2", ACTOR)
    put_network(tmp_path, "net-30", WITH_SLOTS)
    assert {id: model.step for id, model in models(tmp_path).items()} == {"net": 30}


def test_the_newest_of_each_network(tmp_path):
    for step in (1, 2, 3):
        put_network(tmp_path, f"net-{step}", ACTOR)
    for step in (10, 20):
        put_network(tmp_path, f"net-{step}", CRITIC)
    assert {id: model.step for id, model in models(tmp_path).items()} == {"net": 20, "net-3": 3}
    says(tmp_path, "net-2")
    assert {id: model.step for id, model in models(tmp_path).items()} == {"net": 2, "net-20": 20}


def test_a_network_without_a_number_keeps_its_id(tmp_path):
    put_network(tmp_path, "net", ACTOR)
    put_network(tmp_path, "net-2", CRITIC)
    assert {id: model.step for id, model in models(tmp_path).items()} == {"net": None, "net-2": 2}


@pytest.mark.parametrize("lost", ["net-1.meta", "net-1.data-00000-of-00001"])
def test_an_older_network_that_lacks_a_file_is_a_note(tmp_path, lost):
    put_network(tmp_path, "net-1", CRITIC)
    put_network(tmp_path, "net-2", ACTOR)
    os.remove(tmp_path / lost)
    (model,) = models(tmp_path).values()
    assert model.step == 2 and model.problem is None
    assert any("net-1, of another network, is not taken" in finding for finding in model.findings)


def test_a_tensor_in_two_shapes_is_of_two_networks(tmp_path):
    put_network(tmp_path, "net-1", OTHER_HEAD)
    put_network(tmp_path, "net-2", OTHER_HEAD | {"head/w": (4, 1)})
    assert set(models(tmp_path)) == {"net", "net-1"}


def test_a_table_that_grows_while_a_network_is_trained(tmp_path):
    network = {f"layer{number}/w": (number, 2) for number in range(1, 21)}
    for step in (1, 2, 3):
        put_network(tmp_path, f"net-{step}", network | {"frequencies": (step,)})
    assert {id: model.step for id, model in models(tmp_path).items()} == {"net": 3}


def test_other_names_are_other_series_as_before(tmp_path):
    for name in ("actor-1", "critic-2", "net1", "net2"):
        put_network(tmp_path, name, ACTOR)
    assert {id: model.step for id, model in models(tmp_path).items()} == {
        "actor": 1, "critic": 2, "net1": None, "net2": None,
    }  # fmt: skip


def test_a_newer_step_that_is_not_whole_names_one_that_is(tmp_path):
    for step in (1, 2, 3):
        put_network(tmp_path, f"m-{step}", ACTOR)
    os.remove(tmp_path / "m-3.data-00000-of-00001")
    model = models(tmp_path)["m"]
    assert (model.step, model.problem.cause) == (3, "missing_shard")
    assert "m-2 is whole, but not the newest step, which `checkpoints: latest` takes" in model.problem.message
    assert "set `checkpoints: [2]` for this model to take m-2" in model.problem.hint
    assert models(tmp_path, [2])["m-2"].problem is None, "what the hint says helps"


def test_the_row_of_the_newest_step_says_so_too(tmp_path):
    put_network(tmp_path, "m", ACTOR)
    put_network(tmp_path, "m-3", ACTOR)
    os.remove(tmp_path / "m-3.index")
    state = state_file.scan([str(tmp_path)], [], tmp_path / "none", lambda series, zoo: "latest")
    rows = {candidate.name: candidate for candidate in state.candidates}
    assert cause(rows["m-3"]) == "no_index" and rows["m-3"].selected and not rows["m"].selected
    assert "m is whole" in rows["m-3"].problem.message and "`checkpoints: all`" in rows["m-3"].problem.hint
    assert rows["m"].problem is None


def test_where_no_step_is_whole_none_is_named(tmp_path):
    for step in (1, 2):
        put_network(tmp_path, f"m-{step}", ACTOR)
        os.remove(tmp_path / f"m-{step}.meta")
    assert "is whole" not in models(tmp_path)["m"].problem.message


def test_the_rows_of_a_scan_say_which_are_of_one_network(tmp_path):
    for name, tensors in (("net-1", ACTOR), ("net-2", CRITIC), ("net-3", ACTOR)):
        put_network(tmp_path, name, tensors)
    assert [candidate.network for candidate in scan(tmp_path)] == ["net-3", "net-2", "net-3"]


def test_what_is_not_known_is_of_the_first_network():
    one, other, unknown = frozenset({(1, 1), (2, 1)}), frozenset({(3, 1), (4, 1)}), frozenset()
    assert networks([("a", one), ("b", unknown), ("c", other)]) == {"a": "a", "b": "a", "c": "c"}
    assert networks([("a", one), ("b", unknown)]) == {}
