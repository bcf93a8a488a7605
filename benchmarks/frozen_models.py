"""Models of a zoo, imported and frozen in this process, for benchmarks that then judge them themselves."""

import sys
from pathlib import Path

from permafrost import recording
from permafrost.model import Model, Settings
from permafrost.outcome import Problem
from permafrost.records import ImportRecord, Provenance
from permafrost.stages import freeze_model, import_model


def frozen_model(source: Model, settings: Settings, path: Path) -> tuple[ImportRecord, Provenance] | None:
    """The import record and the provenance of a model whose frozen graph is written to `path`.

    Says on stderr why a model cannot be frozen, and returns None.
    Args:
      source: the model as discovery describes it.
      settings: all settings of the model.
    """
    record, provenance = recording.begun(ImportRecord, source.id), recording.begun(Provenance, source.id)
    try:
        import_model.import_model(source, settings, record)
        import_model.rehearse(settings, record)
        freeze_model.freeze(record, settings, path, provenance)
    except Problem as problem:
        print(f"{source.id} cannot be frozen: {problem.message}", file=sys.stderr)
        return None
    return record, provenance
