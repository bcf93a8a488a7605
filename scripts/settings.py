"""Writes a config file that says what was found: the outputs and inputs of each model, to be edited and used."""

import argparse
import sys
from pathlib import Path

from permafrost import layout, recording, whole_files
from permafrost.records import ImportRecord
from permafrost.report import settings_file
from permafrost.zoo import state_file


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", required=True, type=Path, help="the state file of the last discovery")
    parser.add_argument("--reports", required=True, help="the directory of models/<model>/import.json")
    parser.add_argument("file", type=Path, help="the config file, to be written")
    args = parser.parse_args(argv)

    models = sorted(model.id for model in state_file.read(args.state).models)
    paths = [layout.of_model(args.reports, model, layout.IMPORT) for model in models]
    found = [recording.load_or_fail(path, ImportRecord, "settings") for path in paths]
    content = settings_file.text(str(args.file), list(zip(models, found, strict=True)))
    with whole_files.written_whole(args.file) as temporary:
        temporary.write_text(content, encoding="ascii")
    print(f"{args.file} has the settings of {len(models)} models", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
