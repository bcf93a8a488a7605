"""Exports a verified frozen graph as a SavedModel: its bytes as they are, in a frame with signatures.

export_saved_model.json says what was made, or why nothing was.
"""

from permafrost.export_records import SAVED_MODEL
from permafrost.stages import export_program, export_saved_model


def main(argv: list[str] | None = None) -> int:
    return export_program.main(__doc__, SAVED_MODEL, export_saved_model.make, argv)


if __name__ == "__main__":
    raise SystemExit(main())
