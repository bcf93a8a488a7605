"""How long the page takes and how large it is: writes index.html for N copies of the models of a finished run.

python benchmarks/page.py reports frozen 10000
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

HOME = Path(__file__).parents[1]
sys.path.insert(0, str(HOME / "scripts"))

from permafrost import layout  # noqa: E402

_TABLES = ("summary", "timings", "op_types", "findings", "changes", "exports")


def copies(reports: Path, frozen: Path, count: int, target: Path) -> None:
    """Fills `target`/reports and `target`/frozen with links to the files of the models, until they are `count`."""
    tables = {
        name: pd.read_csv(reports / f"{name}.csv", dtype=str, keep_default_na=False, na_filter=False)
        for name in _TABLES
    }
    models = tables["summary"]["model"].tolist()
    made: dict[str, list[pd.DataFrame]] = {name: [] for name in _TABLES}
    for number in range(-(-count // len(models))):
        chosen = models[: count - number * len(models)]
        for model in chosen:
            for root, place in ((reports / "models", "reports/models"), (frozen, "frozen")):
                directory = target / place / f"copy{number}" / model
                directory.mkdir(parents=True)
                for path in (root / model).iterdir():
                    os.symlink(path.resolve(), directory / path.name)
        for name, table in tables.items():
            rows = table[table["model"].isin(chosen)]
            made[name].append(rows.assign(model=f"copy{number}/" + rows["model"]))
    found = json.loads((reports / layout.STATE).read_text())
    ids = [(number, model) for number in range(-(-count // len(models))) for model in found["models"]]
    found["models"] = [model | {"id": f"copy{number}/{model['id']}"} for number, model in ids]
    (target / layout.STATE).write_text(json.dumps(found))
    for name, parts in made.items():
        pd.concat(parts).to_csv(target / "reports" / f"{name}.csv", index=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", type=Path, help="the reports of a finished run")
    parser.add_argument("frozen", type=Path, help="its frozen graphs")
    parser.add_argument("models", type=int, nargs="+", help="how many models there are to be")
    args = parser.parse_args()

    for count in args.models:
        with tempfile.TemporaryDirectory() as directory:
            copies(args.reports, args.frozen, count, Path(directory))
            page = Path(directory, "reports", "index.html")
            command = [sys.executable, str(HOME / "scripts" / "page.py"), "--frozen", f"{directory}/frozen"]
            command += ["--state", f"{directory}/{layout.STATE}"]
            made = ["--brief", page.with_name("summary.md"), "--", "zoo"]
            start = time.monotonic()
            subprocess.run(
                [*command, "--reports", page.parent, "--page", page, *made],
                check=True,
            )
            seconds = time.monotonic() - start
            print(f"{count} models: {seconds:.1f} s, {page.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
