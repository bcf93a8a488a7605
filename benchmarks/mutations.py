"""Damages frozen graphs and exports in every way that a faulty freezer or a mixed-up zoo could, and shows who notices.

    python benchmarks/mutations.py [ZOO] [--models PATTERN] [--most N] [--formats graph,saved_model,onnx,tflite]

Each model of the zoo (by default the sample zoo) is imported and frozen, and exported where it is verified; then each
mutation of its frozen graph, and of each exported file, goes to the judge. The tables have a row for each kind of
mutation: how many there were, how many each layer of the judge caught, how many changed nothing (a mutated graph has
the same bytes; a mutated export gives the same bits on eight further trials, or differs on them by no more than its
format's tolerance), and how many were missed. A file that says something else of itself, or has another table, is
missed though it gives the same. The exit status is 1 where one was missed.
"""

import argparse
import fnmatch
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import pandas as pd

import damaged_exports
import damaged_onnx
from damaged_exports import ANOTHER_STEP, DAMAGES, MISSED, NOTHING, TOLERATED
from damaged_graphs import KINDS, Mutations
from frozen_models import frozen_model
from permafrost import settings
from permafrost.checkpoint.reader import open_checkpoint
from permafrost.export_records import FORMATS
from permafrost.graph.protos import graph_pb2
from permafrost.judge import judging, model_files
from permafrost.model import Model, Settings
from permafrost.outcome import VERIFIED, Problem
from permafrost.records import ImportRecord, Provenance
from permafrost.sandbox import runner
from permafrost.zoo import discovery

HOME = Path(__file__).parents[1]
GRAPH = "graph"
# Cause of the judge's verdict -> the layer that gave it.
LAYERS = {
    "structure_differs": "structure",
    "weights_differ": "weights",
    "outputs_differ": "outputs",
    "not_importable": "import",
    "insensitive": "control",
}
_SECONDS = 20  # for a judgement: a loop that was damaged may have no end
# What a file says of itself: that it computes the same all the same is no excuse.
STATED = (
    "ends_exchanged", "end_renamed", "output_left_out", "output_added", "dtype_of_an_end", "shape_of_an_end",
    "hidden_tensor_renamed", "opset_or_domain", "origin_changed", "table_entry_changed",
)  # fmt: skip
COLUMNS = {GRAPH: ["no change"], **dict.fromkeys(FORMATS, [NOTHING, TOLERATED])}


def spread(mutations: Iterator, most: int) -> list:
    """At most `most` of the mutations, evenly spread over all."""
    found = list(mutations)
    step = max(1, len(found) / most)
    return [found[int(at * step)] for at in range(min(len(found), most))]


def verdict(record: ImportRecord, provenance: Provenance, path: Path, chosen: Settings) -> str:
    """The layer that notices what is wrong with the frozen graph at `path`; `missed` where none does."""
    try:
        limits = runner.limits(chosen) | {"readable": model_files.readable(record, chosen, str(path))}
        model = (record, provenance, str(path))
        found = runner.run(judging.judge, *model, chosen, os.getcwd(), returns=judging.Judgement, **limits)
    except Problem as problem:
        return LAYERS.get(problem.cause, problem.cause)
    except RuntimeError:
        return "error"
    return LAYERS.get(found.finding.cause, found.finding.cause) if found.finding else "missed"


def judge_model(source: Model, others: list[str], most: int, counts: dict[str, Counter], directory: Path) -> None:
    """Adds to `counts` what becomes of the mutations of one model, whose series has checkpoints `others` as well."""
    config = settings.validate({})
    chosen = settings.for_model(config, source.id, source.series)
    path = directory / "frozen_graph.pb"
    frozen = frozen_model(source, chosen, path)
    if frozen is None:
        return
    record, provenance = frozen
    original = path.read_bytes()
    if verdict(record, provenance, path, chosen) != "missed":
        print(f"{source.id} is not verified as it is, and left out", file=sys.stderr)
        return
    graph_def = graph_pb2.GraphDef.FromString(original)
    weights = [tensor.node for tensor in provenance.tensors]
    with open_checkpoint(record.prefix) as checkpoint:
        mutations = Mutations(graph_def, weights, record, checkpoint, others)
        for kind in KINDS:
            for mutated in spread(getattr(mutations, kind)(), most):
                content = mutated.SerializeToString(deterministic=True)
                if content == original:
                    counts[kind]["no change"] += 1
                    continue
                path.write_bytes(content)
                layer = verdict(record, provenance, path, chosen)
                counts[kind][layer] += 1
                if layer in ("missed", "error"):
                    print(f"{source.id}: {kind}: {layer}", file=sys.stderr)


def judge_export(
    form: str, source: Model, others: list[Model], most: int, counts: dict[str, Counter], directory: Path
) -> None:
    """Adds to `counts` what becomes of the mutations of a model's export; others: further steps of its series."""
    config = settings.validate({"models": {"*": {"timeout": _SECONDS}}})
    chosen = settings.for_model(config, source.id, source.series)
    made = damaged_exports.export(form, source, chosen, directory)
    if made is None:
        return
    damages = DAMAGES[form].Damages(made.files, made.exported.export.signature)
    kinds = {kind: getattr(damages, kind)() for kind in DAMAGES[form].KINDS}
    if form == "onnx" and (apart := damages_apart(made, chosen)):
        kinds["external_data"] = apart.external_data()
    kinds[ANOTHER_STEP] = damaged_exports.of_steps(form, others, chosen, directory)
    for kind, mutations in kinds.items():
        for files in spread(mutations, most):
            if files == made.files:
                counts[kind]["no change"] += 1
                continue
            cause = damaged_exports.judged(made, files, chosen)
            layer = LAYERS.get(cause, cause)
            if cause == VERIFIED:
                layer = MISSED if kind in STATED else damaged_exports.effect(made, files, chosen)
            counts[kind][layer] += 1
            if layer in (MISSED, "internal"):
                print(f"{source.id}: {form}: {kind}: {layer}", file=sys.stderr)


def damages_apart(made: damaged_exports.Made, chosen: Settings) -> damaged_onnx.Damages | None:
    """The damages of a model whose weights are in a file of their own; None where they cannot be."""
    files = damaged_onnx.externalized(made.files)
    if not files or damaged_exports.judged(made, files, chosen) != VERIFIED:
        return None
    return damaged_onnx.Damages(files, made.exported.export.signature)


def table_of(counts: dict[str, Counter], columns: Iterable[str]) -> pd.DataFrame:
    """A row for each kind of mutation, and one for all."""
    table = pd.DataFrame({kind: found for kind, found in counts.items() if found or kind in KINDS}).T
    table = table.fillna(0).astype(int)
    first = [*dict.fromkeys(LAYERS.values()), *columns, MISSED]
    table = table.reindex(columns=[*first, *(name for name in table.columns if name not in first)], fill_value=0)
    table.insert(0, "mutations", table.sum(axis=1))
    table.loc["all"] = table.sum()
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", nargs="?", default=str(HOME / "models"))
    parser.add_argument("--models", default="*", help="a pattern of ids")
    parser.add_argument("--most", type=int, default=12, help="of each kind of mutation for a model, evenly spread")
    parser.add_argument("--formats", default=",".join((GRAPH, *FORMATS)), type=lambda text: text.split(","))
    args = parser.parse_args()

    found = discovery.scan([args.zoo], [], {})
    models = discovery.select(found, lambda series, zoo: "latest")
    steps = discovery.select(found, lambda series, zoo: "all")
    counts = {form: {kind: Counter() for kind in kinds_of(form)} for form in args.formats}
    for source in models:
        if fnmatch.fnmatch(source.id, args.models) and not source.problem:
            others = [step for step in steps if step.series == source.series and step.prefix != source.prefix]
            for form in args.formats:
                print(source.id, form, file=sys.stderr)
                with tempfile.TemporaryDirectory() as temporary:
                    if form == GRAPH:
                        prefixes = [step.prefix for step in others]
                        judge_model(source, prefixes, args.most, counts[form], Path(temporary))
                    else:
                        judge_export(form, source, others, args.most, counts[form], Path(temporary))
    tables = {form: table_of(counts[form], COLUMNS[form]) for form in args.formats}
    for form, table in tables.items():
        print(f"{form}\n{table.to_string()}\n")
    return int(any(table[MISSED]["all"] > 0 for table in tables.values()))


def kinds_of(form: str) -> list[str]:
    """The kinds of mutations of frozen graphs, or of a format's files."""
    return KINDS if form == GRAPH else [*DAMAGES[form].KINDS, ANOTHER_STEP]


if __name__ == "__main__":
    raise SystemExit(main())
