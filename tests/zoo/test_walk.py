"""Which directories and files discovery looks at: links, what is closed to it, and what is not to be entered."""

import os
from pathlib import Path

import pytest

from made_checkpoints import V1, cause, models, only, put, put_v2, scan
from permafrost.outcome import Problem
from permafrost.zoo import discovery


def test_the_same_directory_twice_is_one(tmp_path):
    put_v2(tmp_path / "a", "m")
    assert len(discovery.scan([str(tmp_path), f"{tmp_path}/", f"{tmp_path}/a"], [], {})) == 1


def test_symbolic_links(tmp_path):
    zoo, outside = tmp_path / "zoo", tmp_path / "outside"
    put_v2(zoo / "real", "m")
    put_v2(outside, "m")
    (zoo / "a_loop").symlink_to(zoo)
    (zoo / "real" / "up").symlink_to("..")
    (zoo / "itself").symlink_to("itself")
    (zoo / "alias").symlink_to("real")
    (zoo / "other").symlink_to(outside)
    found = discovery.scan([str(zoo)], [], {}, follow_links=True)
    assert [c.series for c in found] == ["other/m", "real/m"]
    unfollowed, model = scan(zoo)
    assert model.series == "real/m" and unfollowed.prefix == f"{zoo}/other" and cause(unfollowed) == "outside_zoo"
    assert f"{zoo}/other leads out of the zoo, to {outside}" in unfollowed.problem.message
    assert "`follow_links: true`" in unfollowed.problem.hint and "`zoo:`" in unfollowed.problem.hint
    assert set(models(zoo)) == {"real/m"}, "a link is no model"


def test_a_link_into_another_zoo_or_into_what_a_zoo_is_a_link_to_is_no_link_out(tmp_path):
    one, two, real = (tmp_path / name for name in ("one", "two", "real"))
    put_v2(real / "a", "m")
    put_v2(two / "b", "m")
    put_v2(tmp_path / "two and more", "m")
    one.symlink_to(real)
    for name, target in (("up", one), ("other", two / "b"), ("longer", tmp_path / "two and more")):
        (real / name).symlink_to(target)
    found = discovery.scan([str(one), str(two)], [], {})
    assert [(c.series, c.name) for c in found] == [("", "longer"), ("a/m", "m"), ("b/m", "m")]


def test_nothing_outside_of_the_zoo_is_listed_or_opened(tmp_path, monkeypatch):
    put_v2(tmp_path / "zoo" / "a", "m")
    put(tmp_path / "outside" / "deep", weights=V1)
    for name, target in (("all", "/"), ("out", tmp_path / "outside"), ("file", tmp_path / "outside/deep/weights")):
        (tmp_path / "zoo" / name).symlink_to(target)
    real_scandir, real_open = os.scandir, Path.open

    def within(path) -> bool:
        return os.path.realpath(path).startswith(f"{tmp_path}/zoo")

    monkeypatch.setattr(os, "scandir", lambda path: real_scandir(path) if within(path) else pytest.fail(str(path)))
    monkeypatch.setattr(Path, "open", lambda path, *a: real_open(path, *a) if within(path) else pytest.fail(str(path)))
    assert sorted((c.series, c.name, cause(c)) for c in scan(tmp_path / "zoo")) == [
        ("", "all", "outside_zoo"), ("", "file", "outside_zoo"), ("", "out", "outside_zoo"), ("a/m", "m", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("linked", ["m.index", "m.data-00000-of-00001", "m.meta", "v1.ckpt", "v1.ckpt.meta"])
def test_a_file_of_a_checkpoint_in_a_store_outside_is_a_row_that_says_so(tmp_path, linked):
    zoo, store = tmp_path / "zoo", tmp_path / "store"
    if linked.startswith("v1"):
        put(zoo, **{"v1.ckpt": V1, "v1.ckpt.meta": b"\n\0"})
    else:
        put_v2(zoo, "m")
    store.mkdir()
    (zoo / linked).rename(store / "object")
    (zoo / linked).symlink_to("../store/object")
    found = only(zoo)
    assert cause(found) == "outside_zoo" and found.series in ("m", "v1.ckpt")
    assert f"{zoo}/{linked} is a link that leads out of the zoo, to {store}/object" == found.problem.message
    assert found.meta == ("" if linked.endswith("meta") else f"{zoo}/{found.name}.meta"), "it is not read later either"
    (followed,) = discovery.scan([str(zoo)], [], {}, follow_links=True)
    assert followed.problem is None and followed.fingerprint != found.fingerprint
    named = discovery.scan([str(zoo), str(store)], [], {})
    assert [c.problem for c in named if c.directory == str(zoo)] == [None], "the user's `zoo` names where it leads"


def test_links_to_files_that_are_no_models_are_one_row_of_their_directory(tmp_path):
    zoo = tmp_path / "zoo"
    put(tmp_path / "outside", **{f"{number}.png": b"x" for number in range(20)})
    put_v2(zoo / "a", "m")
    for path in (tmp_path / "outside").iterdir():
        (zoo / "a" / path.name).symlink_to(path)
    unfollowed, model = scan(zoo)
    assert model.problem is None and unfollowed.series == ""
    assert "a/0.png leads out" in unfollowed.problem.message and "19 more links" in unfollowed.problem.message


def test_the_variables_of_a_saved_model_may_be_a_link(tmp_path):
    zoo = tmp_path / "zoo"
    put(zoo / "export", **{"saved_model.pb": b"x"})
    put_v2(tmp_path / "store", "variables", meta=None)
    (zoo / "export" / "variables").symlink_to(tmp_path / "store")
    assert (only(zoo).series, cause(only(zoo))) == ("export/saved_model", "outside_zoo")
    (followed,) = discovery.scan([str(zoo)], [], {}, follow_links=True)
    assert followed.problem is None and followed.shards == 1


def test_links_to_nothing_are_said(tmp_path):
    put_v2(tmp_path, "m")
    (tmp_path / "m.data-00000-of-00001").unlink()
    (tmp_path / "m.data-00000-of-00001").symlink_to("annex/object")
    assert cause(only(tmp_path)) == "missing_shard"
    (tmp_path / "m.index").unlink()
    (tmp_path / "m.index").symlink_to("annex/object")
    assert cause(only(tmp_path)) == "unreadable"


def test_what_is_not_a_regular_file_is_not_opened(tmp_path):
    put_v2(tmp_path, "m")
    os.mkfifo(tmp_path / "pipe.ckpt")
    (tmp_path / "checkpoint").mkdir()
    assert only(tmp_path).name == "m"


@pytest.fixture
def close(monkeypatch):
    """Takes away the right to read the directories of a name."""
    real = os.scandir

    def close(name: str) -> None:
        def scandir(path):
            if os.path.basename(path) == name:
                raise PermissionError(13, "Permission denied", path)
            return real(path)

        monkeypatch.setattr(os, "scandir", scandir)

    return close


def test_an_unreadable_directory_is_a_row(tmp_path, close):
    put_v2(tmp_path / "a", "m")
    put_v2(tmp_path / "a" / "closed-5", "m")
    close("closed-5")
    closed, open_ = scan(tmp_path)
    assert (closed.series, closed.prefix, cause(closed)) == ("a/closed%2D5", f"{tmp_path}/a/closed-5", "unreadable")
    assert "Permission denied" in closed.problem.message and open_.series == "a/m"


def test_what_can_be_read_goes_before_an_unreadable_directory_of_its_name(tmp_path, close):
    put_v2(tmp_path, "m")
    put_v2(tmp_path / "m", "below")
    close("m")
    assert sorted(cause(c) for c in scan(tmp_path)) == ["", "unreadable"]
    for rule in ("latest", "all"):
        assert models(tmp_path, rule)["m"].problem is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_without_the_right_to_read_them(tmp_path):
    put_v2(tmp_path, "m")
    (tmp_path / "m.index").chmod(0)
    assert cause(only(tmp_path)) == "unreadable"


def test_an_unreadable_file_is_a_row(tmp_path, monkeypatch):
    put_v2(tmp_path, "m")
    real = Path.open

    def refuse(path, *args, **kwargs):
        if path.name == "m.meta":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **kwargs)

    cache = {}
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        assert cause(scan(tmp_path, cache)[0]) == "unreadable"
    assert cause(scan(tmp_path, cache)[0]) == ""


def test_own_outputs_and_repositories_are_not_entered(tmp_path):
    for name in ("a", "frozen", ".git/x", ".snakemake", ".hidden"):
        put_v2(tmp_path / name, "m")
    found = discovery.scan([str(tmp_path)], [f"{tmp_path}/frozen", f"{tmp_path}/absent"], {})
    assert [c.series for c in found] == ["%2Ehidden/m", "a/m"]


@pytest.mark.parametrize("made", [False, True])
def test_a_zoo_that_is_no_directory(tmp_path, made):
    if made:
        (tmp_path / "zoo").write_text("a file")
    with pytest.raises(Problem, match="zoo is not a directory") as caught:
        scan(tmp_path / "zoo")
    assert caught.value.cause == "bad_setting"


def test_a_zoo_that_is_also_an_output(tmp_path):
    with pytest.raises(Problem, match="a directory for outputs"):
        discovery.scan([str(tmp_path)], [f"{tmp_path}/"], {})


def test_an_empty_zoo(tmp_path):
    assert scan(tmp_path) == [] and models(tmp_path) == {}


def test_relative_paths_stay_relative(tmp_path, monkeypatch):
    put_v2(tmp_path / "my zoo", "m")
    monkeypatch.chdir(tmp_path)
    for zoo, prefix in (
        ("my zoo", "my zoo/m"),
        ("./my zoo/", "my zoo/m"),
        (".", "my zoo/m"),
        ("my zoo/.", "my zoo/./m"),
    ):
        assert discovery.scan([zoo], [], {})[0].prefix == prefix
