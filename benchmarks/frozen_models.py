"""Models of a zoo, imported and frozen in this process, for benchmarks that then judge them themselves."""

import sys
from pathlib import Path

import freeze
import import_meta
from permafrost.outcome import Problem


def frozen_model(source: dict, settings: dict, path: Path) -> tuple[dict, dict] | None:
    """The import record and the provenance of a model whose frozen graph is written to `path`.

    Says on stderr why a model cannot be frozen, and returns None.
    Args:
      source: the model as discovery describes it.
      settings: all settings of the model.
    """
    record, provenance = {"status": "ok"}, {"status": "ok"}
    try:
        import_meta.import_model(source, settings, record)
        import_meta.rehearse(settings, record)
        freeze.provenance(record, settings, path, provenance)
    except Problem as problem:
        print(f"{source['id']} cannot be frozen: {problem.message}", file=sys.stderr)
        return None
    return record, provenance
