"""Model ids are safe, and no two models share one."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake.io import PeriodicityDetector, apply_wildcards, regex_from_filepattern

from permafrost.layout import MADE_FILES
from permafrost.zoo.names import model_id, named_prefixes, printable, split_step, step_id

_BYTES = st.binary(max_size=60).map(lambda raw: raw.replace(b"\0", b"").replace(b"/", b""))
_TRICKY = st.lists(st.sampled_from(["a", "%", "%25", "-", "5", "2D", ".", "~", "{", "}", ".log", "=", "\n", "é", " "]))
_LONG = st.integers(190, 255).map(lambda n: "x" * n)
_REPEATED = st.tuples(st.sampled_from(["w", "ab", "%", "\n", "-0", "é", "x%."]), st.integers(18, 120)).map(
    lambda pair: "".join([pair[0]] * pair[1])[:255]
)
_OWN = st.sampled_from(sorted(MADE_FILES))
NAMES = st.one_of(_BYTES.map(os.fsdecode), _TRICKY.map("".join), _LONG, _REPEATED, _OWN)
COMPONENTS = NAMES.filter(lambda name: name not in ("", ".", ".."))
DEEP = st.tuples(st.sampled_from(["a", "a/b"]), st.integers(9, 40)).map(lambda pair: "/".join([pair[0]] * pair[1]))
DIRECTORIES = st.one_of(st.lists(COMPONENTS, max_size=3).map("/".join), DEEP)
SERIES = st.tuples(DIRECTORIES, NAMES.map(lambda name: split_step(name)[0]))
STEPS = st.one_of(st.text("0123456789", min_size=1, max_size=60), st.integers(18, 41).map(lambda n: "0" * n))


@given(SERIES, SERIES)
def test_two_series_never_share_an_id(one, other):
    assert (model_id(*one) == model_id(*other)) == (one == other)


@given(SERIES, SERIES, STEPS)
def test_a_step_never_has_the_id_of_a_series(one, other, digits):
    assert step_id(model_id(*one), digits) != model_id(*other)


@given(SERIES, SERIES, STEPS, STEPS)
def test_two_steps_never_share_an_id(one, other, digits, other_digits):
    same = (one, digits) == (other, other_digits)
    assert (step_id(model_id(*one), digits) == step_id(model_id(*other), other_digits)) == same


@given(SERIES)
def test_ids_are_safe_paths(series):
    identity = model_id(*series)
    identity.encode("utf-8")
    assert not re.search(r"[{}<>\x00-\x1f\x7f-\x9f\u2028\u2029]", identity)
    for component in identity.split("/"):
        assert component and component not in MADE_FILES and not component.endswith(".log")
        assert component[0] not in ".-~"
        assert len(component.encode()) <= 200


@given(SERIES)
def test_snakemake_reads_the_id_back_from_a_path(series):
    identity = model_id(*series)
    for pattern in ("frozen/{model}/provenance.json", "reports/models/{model}/import.json"):
        path = apply_wildcards(pattern, {"model": identity})
        assert re.compile(regex_from_filepattern(pattern)).match(path)["model"] == identity


@given(SERIES, STEPS)
def test_snakemake_finds_no_id_periodic(series, digits):
    series_id = model_id(*series)
    for identity in (series_id, step_id(series_id, digits)):
        assert PeriodicityDetector().is_periodic(identity) is None


@pytest.mark.parametrize(
    ("directory", "stem", "expected"),
    [
        ("lenet", "model.ckpt", "lenet/model.ckpt"),
        ("", "lenet", "lenet"),
        ("", "", "%"),
        ("a/b", "", "a/b/%"),
        ("a", "50%", "a/50%25"),
        ("{x}", "y", "%7Bx%7D/y"),
        ("a<b>", "<c", "a%3Cb%3E/%3Cc"),
        (".hidden", "-rf", "%2Ehidden/%2Drf"),
        ("~", "m", "%7E/m"),
        ("", "a\nb\tc", "a%0Ab%09c"),
        ("", os.fsdecode(b"caf\xe9"), "caf%E9"),
        ("", "café 'x' [*?],\"\\", "café %27x%27 [*?]%2C%22%5C"),
        ("provenance.json", "ops.csv", "%70rovenance.json/%6Fps.csv"),
        ("run.log", "m", "run%2Elog/m"),
        ("run", "m-5", "run/m%2D5"),
        ("", "w" * 19, "w" * 19),
        ("", "w" * 20, "w" * 20 + "%."),
        ("", "ab" * 20, "ab" * 20 + "%."),
        ("", "\n" * 20, "%0A" * 20 + "%."),
        ("/".join("a" * 19), "a", "/".join("a" * 20)),
        ("/".join("a" * 20), "a", "/".join("a" * 21) + "%."),
        ("", "w" * 20 + ".ckpt", "w" * 20 + ".ckpt"),
    ],
)
def test_examples(directory, stem, expected):
    assert model_id(directory, stem) == expected


def test_a_step_of_equal_digits():
    assert step_id("m", "0" * 19) == "m-" + "0" * 19
    assert step_id("m", "0" * 20) == "m-" + "0" * 20 + "%."


def test_a_very_deep_directory_gives_a_short_id():
    deep = "/".join(["directory"] * 300)
    assert len(model_id(deep, "m")) < 100
    assert model_id(deep, "m") != model_id(deep + "/x", "m")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.ckpt-200", ("model.ckpt", 200)),
        ("model.ckpt", ("model.ckpt", None)),
        ("model-200.cptk", ("model-200.cptk", None)),
        ("network_0190", ("network_0190", None)),
        ("m-5-7", ("m-5", 7)),
        ("-7", ("", 7)),
        ("m-007", ("m", 7)),
        ("m-٣", ("m-٣", None)),
        ("", ("", None)),
    ],
)
def test_split_step(name, expected):
    assert split_step(name) == expected


@pytest.mark.parametrize(
    ("content", "newest"),
    [
        (rb'model_checkpoint_path: "/data/x/model.ckpt-3"', "model.ckpt-3"),
        (rb'model_checkpoint_path: "C:\\Users\\x\\model.tflearn"', "model.tflearn"),
        (rb'model_checkpoint_path: "C:\\\\Users\\\\x\\\\model.tflearn"', "model.tflearn"),
        (rb'model_checkpoint_path: "C:\Users\new"', "new"),
        (rb'model_checkpoint_path: "a/\346\250\241\345\236\213-1"', "模型-1"),
        (rb"model_checkpoint_path: 'it\'s \"m\"'", 'it\'s "m"'),
        (rb'model_checkpoint_path: "a/my\\model"', "my\\model"),
        (rb'model_checkpoint_path: "m-7-?????-of-00002"', "m-7"),
        (b'\xff\x00{{{ model_checkpoint_path: "m" \xfe trailing', "m"),
    ],
)
def test_what_a_checkpoint_file_names(content, newest):
    assert newest in named_prefixes(content)[0]


@pytest.mark.parametrize(
    "content", [b"", b"\0\xff" * 100, rb'model_checkpoint_path: "..', b'model_checkpoint_path: "a/.."', b'x: "y"']
)
def test_garbage_names_nothing(content):
    assert named_prefixes(content) == ([], [])


@given(st.binary(max_size=80))
def test_names_never_leave_the_directory(inner):
    newest, every = named_prefixes(b'model_checkpoint_path: "' + inner + b'"\nall_model_checkpoint_paths: "../../m"')
    for name in newest + sum(every, []):
        assert "/" not in name and "\0" not in name and name not in (".", "..")


def test_all_paths_are_read_in_order():
    content = b'model_checkpoint_path: "m-2"\nall_model_checkpoint_paths: "../0/m-1"\nall_model_checkpoint_paths: "m-2"'
    assert named_prefixes(content) == (["m-2"], [["m-2"], ["m-1"], ["m-2"]])


def test_printable():
    assert printable("plain 'name'") == "plain 'name'"
    assert printable("é😀") == "é😀"
    assert printable("a\nb" + os.fsdecode(b"\xff")) == "a%0Ab%FF"
