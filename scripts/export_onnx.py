"""Exports a verified frozen graph to ONNX, by tf2onnx in a child process with limits.

export_onnx.json says what was made, or why nothing was.
"""

from permafrost.export_records import ONNX
from permafrost.stages import export_onnx, export_program


def main(argv: list[str] | None = None) -> int:
    return export_program.main(__doc__, ONNX, export_onnx.make, argv)


if __name__ == "__main__":
    raise SystemExit(main())
