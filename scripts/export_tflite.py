"""Exports a verified frozen graph to TensorFlow Lite, by TensorFlow's converter in a child process with limits.

export_tflite.json says what was made, or why nothing was.
"""

from permafrost.export_records import TFLITE
from permafrost.stages import export_program, export_tflite


def main(argv: list[str] | None = None) -> int:
    return export_program.main(__doc__, TFLITE, export_tflite.make, argv)


if __name__ == "__main__":
    raise SystemExit(main())
