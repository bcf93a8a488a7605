"""Writes a config file that says what was found: outputs and inputs of each model, and all that the config says.

It is copied to the file that is yours to edit where there is none; else that one stays, and what differs is said.
"""

import argparse
import json
import shutil
from pathlib import Path

from permafrost import layout, recording, whole_files
from permafrost.records import ImportRecord
from permafrost.report import settings_changes, settings_file
from permafrost.report.amounts import counted
from permafrost.zoo import state_file


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", required=True, type=Path, help="the state file of the last discovery")
    parser.add_argument("--config", required=True, type=Path, help="the config of the run with its defaults, as JSON")
    parser.add_argument("--reports", required=True, help="the directory of models/<model>/import.json")
    parser.add_argument("--yours", required=True, type=Path, help="the config file to edit, written only once")
    parser.add_argument("--command", required=True, help="the command that runs the pipeline with that file")
    parser.add_argument("file", type=Path, help="the config file, to be written")
    args = parser.parse_args(argv)

    models = sorted(state_file.read(args.state).models, key=lambda model: model.id)
    paths = [layout.of_model(args.reports, model.id, layout.IMPORT) for model in models]
    records = [recording.load_or_fail(path, ImportRecord, "settings") for path in paths]
    whole, found = settings_file.of_run(json.loads(args.config.read_text(encoding="ascii")), models, records)
    with whole_files.written_whole(args.file) as temporary:
        temporary.write_text(settings_file.text(args.command, whole, found), encoding="ascii")
    if args.yours.exists():
        print(settings_changes.sentence(args.yours, args.file))
        return 0
    with whole_files.written_whole(args.yours) as temporary:
        shutil.copyfile(args.file, temporary)
    count = counted(len(models), "model")
    print(f"{args.yours} has the settings of {count}, for you to edit; a run with it:\n\n        {args.command}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
