"""Writes a config file that says what was found: the outputs and inputs of each model, to be edited and used."""

import argparse
import sys
from pathlib import Path

from permafrost import records, settings_file, zoo_state
from permafrost.contract import Problem


def read(reports: str, model: str) -> dict:
    """The import record of a model; one that says so where it cannot be read."""
    path = f"{reports}/models/{model}/import.json"
    try:
        return records.load(path)
    except (OSError, ValueError) as error:
        return records.failure("settings", Problem("io_error", f"{path} cannot be read: {error}"))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", required=True, type=Path, help="the state file of the last discovery")
    parser.add_argument("--reports", required=True, help="the directory of models/<model>/import.json")
    parser.add_argument("file", type=Path, help="the config file, to be written")
    args = parser.parse_args(argv)

    models = sorted(model["id"] for model in zoo_state.read(args.state)["models"])
    content = settings_file.text(str(args.file), [(model, read(args.reports, model)) for model in models])
    with records.written_whole(args.file) as temporary:
        temporary.write_text(content, encoding="ascii")
    print(f"{args.file} has the settings of {len(models)} models", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
