"""Where discovery says that the graph of a checkpoint without a meta graph may be."""

import time
from pathlib import Path

import pytest

from made_checkpoints import V1, cause, models, put, put_v2, says, scan
from permafrost.zoo import graph_search, state_file
from permafrost.zoo.candidates import Candidate

META = b"\n\0graph"


def bare(directory: Path, name: str) -> None:
    """Writes a whole checkpoint without a meta graph."""
    put_v2(directory, name, meta=None)


def found(zoo: Path, name: str) -> Candidate:
    (candidate,) = (candidate for candidate in scan(zoo) if candidate.name == name and candidate.format)
    return candidate


def own(zoo: Path, name: str) -> list[str]:
    """The files in which the graph of a checkpoint may be, relative to the zoo."""
    candidate = found(zoo, name)
    assert candidate.graphs is None or candidate.problem is None
    return [path.removeprefix(f"{zoo}/") for path in candidate.graphs.own] if candidate.graphs else []


def others(zoo: Path, name: str) -> list[str]:
    graphs = found(zoo, name).graphs
    return [path.removeprefix(f"{zoo}/") for path in graphs.others] if graphs else []


def test_all_places_in_their_order(tmp_path):
    bare(tmp_path / "a" / "ckpt", "m.ckpt-5")
    put(tmp_path / "a" / "ckpt", **{"n.meta": META + b"1", "z.pb": b"2", "graph.pbtxt": b"3", "notes.txt": b"4"})
    put(tmp_path / "a" / "ckpt", **{"events.out.tfevents.15.host": b"5", "a.meta.txt": META + b"6"})
    put(tmp_path / "a", **{"above.meta": META + b"7", "above.pb": b"8"})
    put(tmp_path / "a" / "graph", **{"beside.meta": META + b"9", "beside.pb": b"0"})
    put(tmp_path / "a" / "graph" / "below", **{"far.meta": META + b"A"})
    assert own(tmp_path, "m.ckpt-5") == [
        "a/ckpt/a.meta.txt", "a/ckpt/n.meta", "a/above.meta", "a/graph/beside.meta",
        "a/ckpt/graph.pbtxt", "a/ckpt/z.pb", "a/ckpt/events.out.tfevents.15.host",
    ]  # fmt: skip


def test_the_steps_of_a_series_whose_meta_graph_has_another_stem(tmp_path):
    for step in (48, 49, 50):
        bare(tmp_path, f"model-2018.ckpt-{step}")
    put(tmp_path, **{"model-2018.meta": META})
    says(tmp_path, "model-2018.ckpt-50")
    assert list(models(tmp_path)) == ["model-2018.ckpt"]
    for step in (48, 49, 50):
        assert own(tmp_path, f"model-2018.ckpt-{step}") == ["model-2018.meta"]
    assert all(candidate.series and not candidate.problem for candidate in scan(tmp_path))


def test_nothing_is_searched_for_a_checkpoint_with_a_meta_graph(tmp_path, monkeypatch):
    put_v2(tmp_path, "m")
    put(tmp_path, **{"other.pb": b"1", "graph.pbtxt": b"2", "n.meta": META})
    monkeypatch.setattr(graph_search.GraphSearch, "_different", lambda *_: pytest.fail("it is searched for"))
    assert found(tmp_path, "m").graphs is None


def test_a_checkpoint_with_nothing_around_it_has_no_meta_graph(tmp_path):
    bare(tmp_path / "a", "m")
    put(tmp_path / "a", **{"readme.md": b"1", "weights.npz": b"2"})
    assert cause(found(tmp_path, "m")) == "no_meta_graph"


@pytest.mark.parametrize("top", ["", "models/"])
def test_a_meta_graph_that_has_a_checkpoint_elsewhere_comes_last_and_at_the_top_not_at_all(tmp_path, top):
    bare(tmp_path / f"{top}best", "m")
    put_v2(tmp_path / f"{top}train", "m-3", meta=META)
    assert (own(tmp_path, "m"), others(tmp_path, "m")) == ([], ["models/train/m-3.meta"] if top else [])


def test_the_meta_graph_of_a_checkpoint_above(tmp_path):
    put_v2(tmp_path / "a", "m-3", meta=META)
    bare(tmp_path / "a" / "best", "n")
    assert (own(tmp_path, "n"), others(tmp_path, "n")) == ([], ["a/m-3.meta"])


def test_at_the_top_of_a_zoo_of_one_model_a_directory_beside_may_have_the_graph(tmp_path):
    bare(tmp_path / "ckpt", "m")
    put(tmp_path / "graph", **{"m.meta": META})
    assert own(tmp_path, "m") == ["graph/m.meta"]
    put_v2(tmp_path / "another" / "below", "n")
    assert own(tmp_path, "m") == [] and cause(found(tmp_path, "m")) == "no_meta_graph"


def test_a_directory_with_a_checkpoint_below_it_is_not_free(tmp_path):
    bare(tmp_path / "a" / "best", "m")
    put(tmp_path / "a" / "run", **{"r.meta": META})
    assert own(tmp_path, "m") == ["a/run/r.meta"]
    put_v2(tmp_path / "a" / "run" / "ckpt", "r-1")
    assert (own(tmp_path, "m"), others(tmp_path, "m")) == ([], ["a/run/r.meta"])


def test_a_lost_checkpoint_that_is_named_stays_lost(tmp_path):
    bare(tmp_path, "m")
    put(tmp_path, **{"gone-3.meta": META})
    says(tmp_path, "gone-3")
    assert {name: cause(model) for name, model in models(tmp_path).items()} == {"gone": "missing_checkpoint", "m": ""}
    assert own(tmp_path, "m") == ["gone-3.meta"]


def test_of_files_with_the_same_content_the_first_is_looked_into(tmp_path):
    bare(tmp_path, "m")
    put(tmp_path, **{"a.meta": META, "b.meta": META, "c.pb": META, "d.pb": b"other"})
    assert own(tmp_path, "m") == ["a.meta", "d.pb"]


def test_links_out_of_the_zoo_and_unitys_files_are_not_looked_into(tmp_path):
    zoo = tmp_path / "zoo"
    bare(zoo, "m")
    put(tmp_path, **{"away.pb": b"1"})
    (zoo / "away.pb").symlink_to(tmp_path / "away.pb")
    (zoo / "gone.pb").symlink_to(zoo / "nothing")
    put(zoo, **{"asset.png.meta": b"fileFormatVersion: 2\nguid: 1\n"})
    assert own(zoo, "m") == []


def test_the_fingerprint_follows_the_files(tmp_path):
    bare(tmp_path, "m")
    prints = [found(tmp_path, "m").fingerprint]
    for name, content in [("a.pb", b"1"), ("a.pb", b"2"), ("b.meta", META), ("b.meta", META + b"x")]:
        put(tmp_path, **{name: content})
        prints.append(found(tmp_path, "m").fingerprint)
    (tmp_path / "b.meta").unlink()
    prints.append(found(tmp_path, "m").fingerprint)
    assert len(set(prints)) == 5 and prints[5] == prints[2]


def test_of_very_many_files_the_rest_is_counted(tmp_path):
    bare(tmp_path, "m")
    put(tmp_path, **{f"{number:03d}.pb": b"%d" % number for number in range(70)})
    graphs = found(tmp_path, "m").graphs
    assert (len(graphs.own), graphs.unseen) == (60, 10)


def test_the_state_file_keeps_them(tmp_path):
    bare(tmp_path / "zoo", "m")
    put(tmp_path / "zoo", **{"a.pb": b"1"})
    path = tmp_path / "state.json"
    state = state_file.scan([f"{tmp_path}/zoo"], [], path, lambda series, zoo: "latest")
    state_file.keep(state_file.handed(state), path)
    (model,) = state_file.read(path).models
    assert model.graphs.own == [f"{tmp_path}/zoo/a.pb"] and state_file.read(path) == state


def test_thousands_of_directories_beside_each_other_take_no_longer_than_with_meta_graphs(tmp_path):
    def seconds(zoo: Path) -> float:
        began = time.perf_counter()
        scan(zoo)
        return time.perf_counter() - began

    for number in range(600):
        put(tmp_path / "with" / "a" / str(number), **{"m.ckpt": V1, "m.ckpt.meta": META + b"%d" % number})
        put(tmp_path / "without" / "a" / str(number), **{"m.ckpt": V1, "n.meta": META + b"%d" % number})
    assert all(
        candidate.graphs and not candidate.graphs.others for candidate in scan(tmp_path / "without") if candidate.format
    )
    assert min(seconds(tmp_path / "without") for _ in range(3)) < 5 * min(seconds(tmp_path / "with") for _ in range(3))
