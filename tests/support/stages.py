"""Runs stages as functions, without Snakemake."""

from pathlib import Path

from permafrost import recording, settings
from permafrost.model import Model, Settings
from permafrost.outcome import OK, Problem
from permafrost.records import ImportRecord, Provenance
from permafrost.stages import freeze_model, import_model
from permafrost.zoo import discovery


def default_settings(**changes) -> Settings:
    """The settings of a model with nothing configured, but for `changes`."""
    config = settings.validate({"models": {"*": changes}} if changes else {})
    return settings.for_model(config, "any", "any")


def sources(zoo: Path) -> dict[str, Model]:
    """Model id -> what discovery found, for each model below `zoo`."""
    found = discovery.select(discovery.scan([str(zoo)], [], {}), lambda series, zoo: "latest")
    return {model.id: model for model in found}


def imported(source: Model, **changes) -> ImportRecord:
    """The import record of a model that discovery found whole, as a trial run leaves it that changes nothing.

    Raises Problem as the stage's functions do.
    """
    record = recording.begun(ImportRecord, source.id)
    import_model.import_model(source, default_settings(**changes), record)
    assert record.status == OK
    record.batches, record.rehearsal, record.stale_shapes = [], "", ""
    return record


def frozen(record: ImportRecord, directory: Path, **changes) -> tuple[Provenance, Path]:
    """The provenance of a model and the path of its frozen graph."""
    path = Path(directory) / "frozen_graph.pb"
    provenance = recording.begun(Provenance, record.model)
    freeze_model.freeze(record, default_settings(**changes), path, provenance)
    return provenance, path


def problem_of(work, *args, **kwargs) -> Problem:
    """The Problem that a call raises."""
    try:
        work(*args, **kwargs)
    except Problem as problem:
        return problem
    raise AssertionError("no Problem was raised")
