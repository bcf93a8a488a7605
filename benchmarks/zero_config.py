"""How well outputs and inputs are found in a zoo that nobody has described, against what its own code fetches.

    python benchmarks/zero_config.py ZOO MANIFEST

MANIFEST is a CSV or TSV file with the columns `name` (a directory of the zoo), `outputs` (nodes, joined by commas) and,
for directories that hold several models, `prefix_used`. The pipeline runs with an empty config; then a row for each
model of the manifest that has outputs says how many of them are among those chosen, how many were chosen, whether all
are among the first five of outputs.csv, how sure the choice was, whether inputs were found on which the graph runs, and
the model's status. An Identity of a wanted tensor counts as that tensor, and in a failed model nothing is found.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from permafrost import recording
from permafrost.graph import graph_sources
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.records import ImportRecord, known
from permafrost.signature.ranking.equal_nodes import value_of

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
    stem = (getattr(row, "prefix_used", "") or "").rpartition("/")[2]
    named = [model for model in below if stem.startswith(unquote(model.rpartition("/")[2]))]
    return max(named or below, key=len, default=None)


def compare(row, model: str, reports: Path, status: str) -> dict:
    """What was found in a model, beside what the manifest says; nothing where the model failed."""
    record = recording.load(str(reports / "models" / model / "import.json"), ImportRecord)
    wanted = {tensor_name(name.strip())[0] for name in row.outputs.split(",")}
    outputs = known(record.outputs, []) if status != "failed" else []
    chosen = list(dict.fromkeys(tensor_name(name)[0] for name in outputs))
    ranking = [tensor_name(entry.name)[0] for entry in known(record.outputs_ranking, ())] or chosen
    if outputs:
        index = GraphIndex(graph_sources.read(record.graph).graph_def)
        wanted, ranking = {value_of(index, name) for name in wanted}, [value_of(index, name) for name in ranking]
        chosen = [value_of(index, name) for name in chosen]
    ranking = list(dict.fromkeys(ranking))
    return {
        "model": model,
        "wanted": len(wanted),
        "found": len(wanted & set(chosen)),
        "chosen": len(set(chosen)),
        "first five": bool(outputs) and wanted <= set(ranking[: max(5, len(wanted))]),
        "confidence": known(record.outputs_confidence, None),
        "runs": bool(known(record.batches, ())),
        "status": status,
    }


def report(table: pd.DataFrame, summary: pd.Series) -> str:
    """The figures of all models of the manifest in a few lines."""
    complete, none = table["found"] == table["wanted"], table["found"] == 0
    ratio = (table["chosen"] / table["wanted"])[table["status"] != "failed"]
    frozen = summary[summary != "failed"]
    verified = (frozen == "verified").sum()
    return (
        f"all outputs found in {complete.sum()} of {len(table)} models ({complete.mean():.1%}), "
        f"none in {none.sum()} ({none.mean():.1%});\n"
        f"chosen/wanted {ratio.median():.2g} in the median and {ratio.mean():.2f} in the mean; "
        f"all among the first five in {table['first five'].mean():.1%}\n"
        f"{verified} of the {len(frozen)} models that can be frozen are verified ({verified / len(frozen):.1%})"
    )


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
            if model is not None:
                found.append(compare(row, model, reports, summary[model]))
    table = pd.DataFrame(found)
    print(f"{table.to_string(index=False)}\n\n{report(table, summary)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
