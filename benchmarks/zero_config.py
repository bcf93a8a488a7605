"""How well outputs and inputs are found in a zoo that nobody has described, against what its own code fetches.

    python benchmarks/zero_config.py ZOO MANIFEST

MANIFEST is a CSV or TSV file with the columns `name` (a directory of the zoo), `outputs` (nodes, joined by commas) and,
for directories that hold several models, `prefix_used`. The pipeline runs with an empty config; then a row for each
model of the manifest that has outputs says how many of them are among those chosen, how many were chosen, the place of
the first right one in the ranking, whether inputs were found on which the graph runs, and the model's status.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

HOME = Path(__file__).parents[1]


def run_pipeline(zoo: Path, directory: Path) -> None:
    """Runs the pipeline over `zoo` with nothing configured; raises CalledProcessError where the program fails."""
    (directory / "empty.yaml").write_text("models: {}\n")
    where = [f"zoo={zoo.resolve()}", "frozen=frozen", "reports=reports", "on_failure=report"]
    command = [sys.executable, "-m", "snakemake", "--snakefile", HOME / "Snakefile", "--configfile", "empty.yaml"]
    subprocess.run([*command, "--config", *where], cwd=directory, check=True, stdout=subprocess.DEVNULL)


def model_of(row, models: list[str]) -> str | None:
    """The id of the model that a row of the manifest is about; None where the zoo has no such model."""
    below = [model for model in models if model.startswith(f"{row.name}/")]
    prefix = getattr(row, "prefix_used", "") or ""
    named = [model for model in below if prefix.startswith(model.rpartition("/")[2].replace("%25", "%"))]
    return max(named or below, key=len, default=None)


def compare(row, model: str, reports: Path, status: str) -> dict:
    """What was found in a model, beside what the manifest says."""
    record = json.loads((reports / "models" / model / "import.json").read_text())
    wanted = [name.strip() for name in row.outputs.split(",")]
    chosen = record.get("outputs", [])
    ranking = [entry["name"] for entry in record.get("outputs_ranking", ())] or chosen
    places = [ranking.index(name) + 1 for name in wanted if name in ranking]
    return {
        "model": model,
        "wanted": len(wanted),
        "found": sum(name in chosen for name in wanted),
        "chosen": len({name.partition(":")[0] for name in chosen}),
        "first": min(places, default=None),
        "runs": bool(record.get("batches")),
        "status": status,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("manifest", type=Path)
    args = parser.parse_args()

    manifest = pd.read_csv(args.manifest, sep=None, engine="python", dtype=str, keep_default_na=False)
    with tempfile.TemporaryDirectory() as temporary:
        run_pipeline(args.zoo, Path(temporary))
        reports = Path(temporary, "reports")
        summary = pd.read_csv(reports / "summary.csv", keep_default_na=False).set_index("model")["status"]
        found = []
        for row in manifest[manifest["outputs"].str.strip() != ""].itertuples(index=False):
            model = model_of(row, list(summary.index))
            if model is not None and summary[model] != "failed":
                found.append(compare(row, model, reports, summary[model]))
    table = pd.DataFrame(found).astype({"first": "Int64"})
    print(table.to_string(index=False))
    complete, none = (table["found"] == table["wanted"]).sum(), (table["found"] == 0).sum()
    frozen = summary[summary != "failed"]
    print(
        f"\nall outputs found in {complete} of {len(table)} models ({complete / len(table):.0%}), none in {none};",
        end=" ",
    )
    print(f"{(table['chosen'] / table['wanted']).median():.2g} times as many chosen as wanted in the median")
    print(f"{(frozen == 'verified').sum()} of the {len(frozen)} models that can be frozen are verified")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
