"""How many models of a zoo can be exported, and are judged right, in each format, with time and memory.

    python benchmarks/exports.py ZOO [ZOO ...] [--formats saved_model,onnx,tflite] [--keep DIR]

The pipeline runs over the zoos with nothing configured but the formats. A table has a row for each format: of the
models that are verified and steady (no random numbers), how many of their exports are verified, differ, cannot be
verified and are refused; the median, the ninth tenth and the largest of the seconds and of the memory (MB) of export
and judging together; and the median size, as a share of the frozen graph's. Below it stand what each stage took by
itself, the exports that are not verified, with the op that stood in the way, and how many SavedModels are the same bits
in a session that TensorFlow makes by itself. Memory is the largest of a single process. What a network of 600 MB takes:

    python benchmarks/networks.py ZOO 600MB
    python benchmarks/exports.py ZOO --formats onnx
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

HOME = Path(__file__).parents[1]
FORMATS = ("saved_model", "onnx", "tflite")
STATUSES = ("verified", "mismatch", "unverifiable", "refused")


def run_pipeline(zoos: list[Path], formats: list[str], directory: Path) -> None:
    """Runs the pipeline over the zoos; raises CalledProcessError where the program fails."""
    config = {"zoo": [str(zoo.resolve()) for zoo in zoos], "models": {"*": {"export": formats}}}
    (directory / "config.json").write_text(json.dumps(config))
    where = ["frozen=frozen", "reports=reports", "on_failure=report"]
    command = [sys.executable, "-m", "snakemake", "--snakefile", HOME / "Snakefile", "--configfile", "config.json"]
    subprocess.run([*command, "--config", *where], cwd=directory, check=True, stdout=subprocess.DEVNULL)


def read(reports: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The exports of verified, steady models, and what the stages took, both with the model and the format."""
    summary = pd.read_csv(reports / "summary.csv", keep_default_na=False).set_index("model")
    steady = summary[(summary["status"] == "verified") & (summary["behaviour"] != "random")]
    exports = pd.read_csv(reports / "exports.csv", keep_default_na=False)
    exports = exports[exports["model"].isin(steady.index)].copy()
    exports["share"] = pd.to_numeric(exports["bytes"]) / exports["model"].map(steady["frozen_bytes"].astype(float))
    timings = pd.read_csv(reports / "timings.csv")
    stages = timings["stage"].str.extract(r"^(?:export|judge)_(" + "|".join(FORMATS) + ")$")[0]
    return exports, timings.assign(format=stages).dropna(subset=["format"])


def spread(values: pd.Series) -> str:
    """The median, the ninth tenth and the largest."""
    found = (values.median(), values.quantile(0.9), values.max())
    return " / ".join(f"{value:.0f}" if value >= 100 else f"{value:.3g}" for value in found)


def row_of(form: str, exports: pd.DataFrame, timings: pd.DataFrame) -> dict:
    """The row of a format."""
    own, took = exports[exports["format"] == form], timings[timings["format"] == form]
    took = took[took["model"].isin(own["model"])].groupby("model").agg({"seconds": "sum", "peak_mb": "max"})
    counts = {status: int((own["status"] == status).sum()) for status in STATUSES}
    share = counts["verified"] / max(1, len(own))
    return {
        "format": form,
        "models": len(own),
        **counts,
        "verified, share": f"{share:.1%}",
        "seconds": spread(took["seconds"]),
        "MB": spread(took["peak_mb"]),
        "size": f"{own['share'].median():.2f}",
    }


def rows_of_stages(timings: pd.DataFrame) -> pd.DataFrame:
    """What each stage took, for the models together: the median, the ninth tenth and the largest."""
    measured = timings.groupby("stage", sort=False)[["seconds", "cpu_seconds", "peak_mb"]].agg(spread)
    return measured.rename(columns={"cpu_seconds": "CPU seconds", "peak_mb": "MB"}).reset_index()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", type=Path, nargs="+")
    parser.add_argument("--formats", default=",".join(FORMATS), type=lambda text: text.split(","))
    parser.add_argument("--keep", type=Path, help="a directory for what is made, which is else deleted")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        directory = args.keep or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        run_pipeline(args.zoo, args.formats, directory)
        exports, timings = read(directory / "reports")
    print(pd.DataFrame([row_of(form, exports, timings) for form in args.formats]).to_string(index=False))
    print(f"\n{rows_of_stages(timings).to_string(index=False)}")
    others = exports[exports["status"] != "verified"]
    print(
        f"\n{others[['model', 'format', 'status', 'cause', 'op', 'message']].to_string(index=False, max_colwidth=70)}"
    )
    usual = exports[exports["format"] == "saved_model"]["usual_match"].value_counts().to_dict()
    print(f"\nSavedModels in a session that TensorFlow makes by itself: {usual}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
