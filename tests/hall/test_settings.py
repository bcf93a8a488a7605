"""The config: what it may say, what it says of each model, and the sentence about each mistake."""

import copy

import jsonschema
import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from permafrost import config_schema, settings
from permafrost.outcome import CAUSES, Problem
from written_records import model_of


def message(text: str) -> str:
    """What validate says of a config written as YAML."""
    with pytest.raises(Problem) as caught:
        settings.validate(yaml.safe_load(text))
    assert caught.value.cause == "bad_setting" and caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value.message


def config(text: str) -> dict:
    return settings.validate(yaml.safe_load(text))


def test_the_schema_is_one_and_describes_every_key():
    schema = config_schema.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    keys = {**schema["properties"], **schema["$defs"]["model"]["properties"]}
    assert all(key.get("description") for key in keys.values())


def test_the_defaults_are_valid_and_do_not_change_what_was_given():
    given_config = {}
    whole = settings.validate(given_config)
    assert given_config == {}
    assert whole == {
        "zoo": "models",
        "frozen": "frozen",
        "follow_links": False,
        "allow_empty": False,
        "reports": "reports",
        "checkpoints": "latest",
        "on_failure": "fail",
        "models": {},
    }
    assert settings.validate(whole) == whole
    every = settings.for_model(whole, "a/b", "a/b")
    said = msgspec.to_builtins(every)
    assert settings.validate({"models": {"*": said}})["models"]["*"] == said
    assert every.trials == 3 and every.timeout == 300 and every.memory_mb == 8192 and every.seed == 0
    assert every.tolerance is None and every.outputs == "auto" and every.inputs == {}
    assert every.expect == "verified" and every.clear_devices is True and every.weights == "raw"


def test_the_defaults_are_nobody_elses():
    whole = settings.validate({})
    settings.for_model(whole, "a", "a").allow_ops.append("PyFunc")
    whole["models"]["a"] = {}
    assert settings.for_model(whole, "a", "a").allow_ops == []
    assert settings.validate({})["models"] == {}


def test_all_that_a_config_may_say():
    text = """
    zoo: [one, "007"]
    checkpoints: [100, 200]
    models:
      "lenet/*":
        outputs: [add_4, "add:1"]
        inputs:
          Placeholder: {shape: [batch, 32, null, 1], range: [0, 1.5]}
          keep_prob: 1.0
          training: false
          words: [[a, b], [c, d]]
          ids: {value: 7, shape: [2]}
          image: {file: feeds.npz, key: image}
        tolerance: {rtol: 1.0e-6, atol: 0}
        expect: [verified, failed/missing_shard]
        timeout: 0.5e+2
        variable_names_denylist: [a]
      other: {tolerance: {ulp: 4}, checkpoints: all}
      third: {tolerance: null}
    """
    whole = config(text)
    assert whole["models"] == yaml.safe_load(text)["models"]


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("zoo: 007", "config: zoo: ", "YAML read it as the number 7; quote it, or write a path as ./007"),
        ("zoo: [a, 7]", "config: zoo[1]: ", "YAML read it as the number 7; quote it"),
        ("zoo: on", "config: zoo: ", "YAML read it as the truth value true; quote it"),
        ("zoo: 2018-05-01", "config: zoo: ", "YAML read it as the date 2018-05-01; quote it"),
        ("zoo:", "config: zoo: ", "expected a directory or a list of directories, but this is nothing"),
        ("zoo: []", "config: zoo: ", "but this is an empty list"),
        ("zoo: {a: b}", "config: zoo: ", "but this is a mapping"),
        ("zoo: [a, {}]", "config: zoo[1]: ", "`directory` is missing"),
        ("zoo: [{directry: a}]", "config: zoo[0]: ", "unknown key 'directry'; did you mean 'directory'?"),
        ("zoo: [{directory: a, trials: 3}]", "config: zoo[0]: ", "'trials' is a setting of a model"),
        ("zoo: [{directory: 7}]", "config: zoo[0] / directory: ", "quote it, or write a path as ./007"),
        ("zoo: [{directory: a, models: }]", "config: zoo[0] / models: ", "but this is nothing"),
        ("zoo: [a, []]", "config: zoo[1]: ", "a directory, or a mapping with `directory` and `models`"),
        ("zoo: [{directory: a, models: {7: {}}}]", "config: zoo[0] / models: ", "a key as the number 7; quote it"),
        (
            "zoo: [{directory: a, models: {b: {}}}, {directory: a, models: {c: {}}}]",
            "config: zoo[1] / directory: ",
            '"a" has `models` already; write all of them into one entry',
        ),
        ("frozen: 7", "config: frozen: ", "YAML read it as the number 7; quote it"),
        ("zo: x", "config: ", "unknown key 'zo'; did you mean 'zoo'?"),
        ("Models: {}", "config: ", "unknown key 'Models'; did you mean 'models'?"),
        ("qqqq: x", "config: ", "unknown key 'qqqq'; known are zoo, frozen, reports"),
        ("outputs: [a]", "config: ", "'outputs' is a setting of a model; write it below models"),
        ("7: x", "config: ", "YAML read a key as the number 7; quote it"),
        ("[a]", "config: ", "expected a mapping of settings, but this is the list ['a']"),
        ("checkpoints: newest", "config: checkpoints: ", "expected `latest`, `all`, or a list of steps"),
        ("checkpoints: [1, 2.0]", "config: checkpoints[1]: ", "the number 2.0"),
        ("checkpoints: [true]", "config: checkpoints[0]: ", "the truth value true"),
        ("checkpoints: [-1]", "config: checkpoints[0]: ", "the number -1"),
        ("on_failure: false", "config: on_failure: ", "expected `fail` or `report`, but this is the truth value false"),
        ("models: {a: }", 'config: models / "a": ', "but this is nothing"),
        ("&a {zoo: *a}", "config: ", "nested too deeply"),
        ("zoo: &a [*a]", "config: ", "nested too deeply"),
    ],
)
def test_a_mistake_at_the_top(text, place, said):
    assert message(text).startswith(place) and said in message(text)


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("ouputs: [a]", "", "unknown key 'ouputs'; did you mean 'outputs'?"),
        ("outputs: 7", " / outputs", "a list of node or tensor names, or `auto`, but this is the number 7"),
        ("outputs: [7]", " / outputs[0]", "YAML read it as the number 7; quote it"),
        ("outputs: []", " / outputs", "an empty list"),
        ("inputs: {x: {shap: [1]}}", ' / inputs / "x"', "unknown key 'shap'; did you mean 'shape'?"),
        ("inputs: {x: {}}", ' / inputs / "x"', "an empty mapping"),
        ("inputs: {x: }", ' / inputs / "x"', "but this is nothing"),
        ("inputs: {x: .nan}", ' / inputs / "x"', "the number nan"),
        ("inputs: {x: [1, {a: 1}]}", ' / inputs / "x"[1]', "but this is a mapping"),
        (
            "inputs: {x: {shape: [bacth]}}",
            ' / inputs / "x" / shape[0]',
            "expected a size, `batch` or null",
        ),
        ("inputs: {x: {shape: [-1]}}", ' / inputs / "x" / shape[0]', "the number -1"),
        ("inputs: {x: {range: [1]}}", ' / inputs / "x" / range', "a list of two numbers"),
        ("inputs: {x: {range: [2, 1]}}", ' / inputs / "x" / range', "the lowest value comes first"),
        ("inputs: {x: {range: [0, .inf]}}", ' / inputs / "x" / range[1]', "the number inf"),
        ("inputs: {x: {key: k, shape: [1]}}", ' / inputs / "x"', "`file`, which is missing"),
        ("inputs: {x: {file: a, range: [0, 1]}}", ' / inputs / "x"', "`range` and `file` exclude each other"),
        ("inputs: {x: {file: a, shape: [1]}}", ' / inputs / "x"', "`shape` and `file` exclude each other"),
        ("inputs: {x: {range: [0, 1], value: 1}}", ' / inputs / "x"', "`range` and `value` exclude each other"),
        ("inputs: {x: {value: {}}}", ' / inputs / "x" / value', "an empty mapping"),
        ("inputs: {1: 2}", " / inputs", "YAML read a key as the number 1; quote it"),
        ("tolerance: {rtol: 1e-6}", " / tolerance / rtol", "YAML read '1e-6' as text; write a number like"),
        ("tolerance: {rtol: -1}", " / tolerance / rtol", "a number of at least 0"),
        ("tolerance: {rtol: .nan}", " / tolerance / rtol", "the number nan"),
        ("tolerance: {ulp: 1, rtol: 1}", " / tolerance", "expected `ulp` alone"),
        ("tolerance: {}", " / tolerance", "an empty mapping"),
        ("expect: verifed", " / expect", "a status such as `verified`"),
        ("expect: verified/timeout", " / expect", "a status such as `verified`"),
        ("expect: failed/mising_shard", " / expect", "did you mean 'missing_shard'?"),
        ("expect: [failed/internal]", " / expect", "cannot be expected"),
        ("weights: mean", " / weights", "expected `raw` or `ema`"),
        ("clear_devices: 'yes'", " / clear_devices", "`true` or `false`"),
        ("trials: 0", " / trials", "from 1 to 1000"),
        ("trials: 3.0", " / trials", "the number 3.0"),
        ("timeout: 1" + "0" * 400, " / timeout", "seconds"),
        ("memory_mb: true", " / memory_mb", "the truth value true"),
        ("allow_ops: PyFunc", " / allow_ops", "a list of op types"),
    ],
)
def test_a_mistake_in_a_models_settings(text, place, said):
    sentence = message(f"models:\n  'lenet/*':\n    {text}")
    assert sentence.startswith(f'config: models / "lenet/*"{place}: ') and said in sentence
    of_a_zoo = message(f"zoo:\n- one\n- directory: two\n  models:\n    'lenet/*':\n      {text}")
    assert of_a_zoo == sentence.replace("config: models", "config: zoo[1] / models", 1)


@pytest.mark.parametrize("directories", [("a", "a"), ("a", "a/b"), (".", "r"), ("r/models", "r"), ("r/models/x", "r/")])
def test_frozen_and_reports_do_not_hold_each_other(directories):
    with pytest.raises(Problem, match="neither hold the reports"):
        settings.validate(dict(zip(("frozen", "reports"), directories, strict=True)))
    assert settings.validate({"frozen": "r/frozen", "reports": "r"})


def test_hostile_keys_do_not_reach_the_terminal():
    with pytest.raises(Problem) as caught:
        settings.validate({"models": {"a\x1b[2J\nb": {"\x1b[31m": 1}}})
    assert caught.value.message.isprintable()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=6,
)
entries = st.fixed_dictionaries({}, optional={"directory": st.just("a") | anything, "models": anything})
top_keys = st.sampled_from(["zoo", "frozen", "reports", "checkpoints", "on_failure", "x"])
model_keys = st.sampled_from(["outputs", "inputs", "tolerance", "expect", "trials", "checkpoints", "allow_ops"])


@hypothesis_settings(deadline=None)
@given(
    st.dictionaries(top_keys, anything | st.lists(entries, max_size=2), max_size=2),
    st.dictionaries(st.text(max_size=5), st.dictionaries(model_keys, anything, max_size=2) | anything, max_size=2),
)
def test_any_config_is_good_or_a_problem(top, models):
    whole = {**top, "models": models}
    before = copy.deepcopy(whole)
    try:
        checked = settings.validate(whole)
        settings.for_model(checked, "a/b", "a/b")
    except Problem as problem:
        assert problem.cause == "bad_setting" and problem.message.startswith("config: ")
    assert repr(whole) == repr(before)


def test_an_exact_id_beats_globs_and_later_globs_win_key_by_key():
    whole = config("""
    models:
      "lenet/model.ckpt": {trials: 5}
      "*": {trials: 1, seed: 1, timeout: 1, inputs: {a: 1, b: 2}}
      "lenet/*": {seed: 2, inputs: {a: 3}}
      "LENET/*": {timeout: 9}
    """)
    chosen = settings.for_model(whole, "lenet/model.ckpt", "lenet/model.ckpt")
    assert (chosen.trials, chosen.seed, chosen.timeout) == (5, 2, 1)
    assert chosen.inputs == {"a": 3}
    assert settings.for_model(whole, "deep/er/model", "deep/er/model").trials == 1


def test_of_their_like_patterns_at_the_top_win_over_those_of_a_zoo():
    whole = config("""
    zoo:
    - directory: one
      models:
        "lenet/model.ckpt": {trials: 5, seed: 5}
        "*": {trials: 1, timeout: 1, inputs: {a: 1}, memory_mb: 1}
    - directory: two
      models: {"*": {trials: 9, file_mb: 9}}
    - three
    models:
      "lenet/model.ckpt": {seed: 6}
      "*": {timeout: 2, inputs: {b: 2}, trials: 2}
    """)

    def chosen(model: str, zoo: str) -> tuple:
        found = settings.for_model(whole, model, model, zoo)
        return tuple(getattr(found, key) for key in ("trials", "seed", "timeout", "memory_mb", "file_mb", "inputs"))

    assert chosen("lenet/model.ckpt", "one") == (5, 6, 2, 1, 64, {"b": 2})
    assert chosen("other", "one") == (2, 0, 2, 1, 64, {"b": 2})
    assert chosen("lenet/model.ckpt", "two") == (2, 6, 2, 8192, 9, {"b": 2})
    assert chosen("lenet/model.ckpt", "three") == (2, 6, 2, 8192, 64, {"b": 2})
    assert settings.zoos(whole) == ["one", "two", "three"]
    assert (settings.zoos(config("zoo: one")), settings.zoos(config("zoo: [b, a]"))) == (["one"], ["b", "a"])


def test_the_settings_of_a_series_are_looked_for_in_its_zoo():
    whole = config("""
    zoo: [{directory: one, models: {run/m-100: {trials: 7}, run/m: {trials: 2, checkpoints: all}}}]
    models: {run/m: {trials: 3}}
    """)
    chosen = settings.for_model(whole, "run/m-100", "run/m", "one")
    assert (chosen.trials, chosen.checkpoints) == (7, "all")
    assert settings.for_model(whole, "run/m-200", "run/m", "one").trials == 3


def test_the_batch_is_none_in_a_models_settings():
    whole = config("models: {a: {inputs: {x: {shape: [batch, 2, null]}, y: batch, z: [batch]}}}")
    inputs = settings.for_model(whole, "a", "a").inputs
    assert inputs == {"x": {"shape": [None, 2, None]}, "y": "batch", "z": ["batch"]}
    assert whole["models"]["a"]["inputs"]["x"]["shape"] == ["batch", 2, None]


def test_a_step_has_the_settings_of_its_series_and_its_own():
    whole = config("""
    checkpoints: [5]
    models:
      run/m-100: {trials: 7}
      run/m: {trials: 2, seed: 3, checkpoints: all}
    """)
    chosen = settings.for_model(whole, "run/m-100", "run/m")
    assert (chosen.trials, chosen.seed, chosen.checkpoints) == (7, 3, "all")
    assert settings.for_model(whole, "run/m-200", "run/m").trials == 2
    assert settings.for_model(whole, "other", "other").checkpoints == [5]


def test_an_id_with_brackets_is_matched_exactly():
    whole = settings.validate({"models": {"a[1]": {"trials": 9}}})
    assert settings.for_model(whole, "a[1]", "a[1]").trials == 9


def test_a_pattern_that_matches_nothing_names_the_closest_id():
    ids = ["lenet/model.ckpt", "sum/sum.ckpt"]
    settings.unmatched(["lenet/*", "sum/sum.ckpt", "*"], ids)
    with pytest.raises(Problem, match='models / "lenet/model.cpkt": .*the closest is "lenet/model.ckpt"'):
        settings.unmatched(["lenet/model.cpkt"], ids)
    with pytest.raises(Problem, match='"summ/\\*"'):
        settings.unmatched(["*", "summ/*"], ids)
    with pytest.raises(Problem, match="the zoo has no models"):
        settings.unmatched(["*"], [])
    settings.unmatched([], [])


def test_a_pattern_of_a_zoo_is_for_the_models_of_that_directory_alone():
    models = [model_of(name, zoo=zoo) for name, zoo in (("lenet/m", "one"), ("vgg/m", "two"))]

    def refuse_unmatched(text: str) -> None:
        settings.ModelSettings(config(text)).refuse_unmatched(models)

    of_zoos = "zoo: [{directory: one, models: {lenet/*: {}}}, {directory: two, models: {%s: {}}}]"
    refuse_unmatched(of_zoos % "vgg/m" + "\nmodels: {lenet/m: {}, '*': {}}")
    with pytest.raises(Problem, match=r'zoo\[1\] / models / "lenet/\*": no model below "two" .* closest is "vgg/m"'):
        refuse_unmatched(of_zoos % "lenet/*")
    with pytest.raises(Problem, match='config: models / "vgg/x": no model has this id .* the closest is "vgg/m"'):
        refuse_unmatched(of_zoos % "vgg/*" + "\nmodels: {vgg/x: {}}")
    with pytest.raises(Problem, match=r'zoo\[0\] / models / "\*": no model below "empty" .*; "empty" has no models'):
        refuse_unmatched("zoo: [{directory: empty, models: {'*': {}}}, one]")


def test_a_pattern_may_match_a_series():
    models = [model_of("run/m-100", series="run/m")]
    settings.unmatched(["run/m", "run/m-1*"], models)
    with pytest.raises(Problem):
        settings.unmatched(["run/x"], models)


@pytest.mark.parametrize(
    ("expect", "status", "cause", "met"),
    [
        ("verified", "verified", "", True),
        ("verified", "failed", "corrupt", False),
        ("failed", "failed", "corrupt", True),
        ("failed", "verified", "", False),
        ("failed/missing_shard", "failed", "missing_shard", True),
        ("failed/missing_shard", "failed", "corrupt", False),
        ("failed/timeout", "unverifiable", "timeout", False),
        (["verified", "unverifiable/timeout"], "unverifiable", "timeout", True),
        (["verified", "unverifiable/timeout"], "verified", "", True),
        ("failed", "failed", "internal", False),
        ("unverifiable/internal", "unverifiable", "internal", False),
    ],
)
def test_what_is_expected(expect, status, cause, met):
    assert settings.meets(expect, status, cause) is met


@pytest.mark.parametrize("cause", sorted(set(CAUSES) - {"internal"}))
def test_every_cause_can_be_expected(cause):
    assert settings.validate({"models": {"a": {"expect": f"unverifiable/{cause}"}}})


@pytest.mark.parametrize("key", ["frozen", "reports"])
def test_directories_that_snakemake_reads_as_patterns_are_refused(key):
    for directory in ("my {x}", "out<x>", "a}"):
        with pytest.raises(Problem, match=f"config: {key}: .* Snakemake replaces") as caught:
            settings.validate({key: directory})
        assert caught.value.cause == "bad_setting"
    assert settings.validate({key: "a <b c> <X>"})[key] == "a <b c> <X>"


def test_follow_links_is_also_what_the_command_line_makes_of_true():
    for said, meant in ((True, True), ("true", True), (False, False), ("false", False)):
        assert settings.validate({"follow_links": said})["follow_links"] is meant
    with pytest.raises(Problem, match="config: follow_links: "):
        settings.validate({"follow_links": "yes"})
    with pytest.raises(Problem, match="config: on_failure: "):
        settings.validate({"on_failure": "true"})
