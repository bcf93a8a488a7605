"""Runs stages as functions, without Snakemake."""

from pathlib import Path

from permafrost import settings
from permafrost.outcome import Problem
from permafrost.stages import freeze_model, import_model
from permafrost.zoo import discovery


def default_settings(**changes) -> dict:
    """The settings of a model with nothing configured, but for `changes`."""
    config = settings.validate({"models": {"*": changes}} if changes else {})
    return settings.for_model(config, "any", "any")


def sources(zoo: Path) -> dict[str, dict]:
    """Model id -> what discovery found, for each model below `zoo`."""
    found = discovery.select(discovery.scan([str(zoo)], [], {}), lambda series, zoo: "latest")
    return {model["id"]: model for model in found}


def imported(source: dict, **changes) -> dict:
    """The import record of a model that discovery found whole; raises Problem as the stage's functions do."""
    facts = {"status": "ok", "model": source["id"]}
    assert import_model.import_model(source, default_settings(**changes), facts) is None
    return facts


def frozen(record: dict, directory: Path, **changes) -> tuple[dict, Path]:
    """The provenance of a model and the path of its frozen graph."""
    path = Path(directory) / "frozen_graph.pb"
    facts = {"status": "ok"}
    freeze_model.provenance(record, default_settings(**changes), path, facts)
    return facts, path


def problem_of(work, *args, **kwargs) -> Problem:
    """The Problem that a call raises."""
    try:
        work(*args, **kwargs)
    except Problem as problem:
        return problem
    raise AssertionError("no Problem was raised")
