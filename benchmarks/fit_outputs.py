"""Fits the tables by which outputs are chosen, and says how well they do on graphs that they were not fitted on.

    python benchmarks/fit_outputs.py ZOO [ZOO ...] [--write]

Each ZOO has a MANIFEST.tsv (benchmarks/labelled_graphs.py). The graphs of the tests are fitted on as well, and never
counted. Three logistic regressions are fitted, one on what the others leave: whether a candidate is an output by
itself, whether it is one beside those that are chosen, and whether a chosen set has all. The figures are of ten-fold
cross-validation over the owners of the repositories, so that nobody's graphs are in both halves, repeated with other
halves; beside them stand those of the training half. --write puts the tables, fitted on all graphs, where the pipeline
reads them.
"""

import argparse
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

import labelled_graphs
from labelled_graphs import Labelled
from permafrost.signature.ranking import confidence, tables
from permafrost.signature.ranking.equal_nodes import value_of
from permafrost.signature.ranking.selection import Pool
from permafrost.signature.ranking.tables import Table

FOLDS = 10
INNER = 8
REPEATS = 3
STEPS = 5  # of choosing a set, at which it is fitted
MIN_GRAPHS = 8  # that have an op, for the op to be a feature
MADE = 0.2  # what a graph of the tests counts, beside one of a zoo
BINS = [0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0]


@dataclass
class Fitted:
    """The three tables, by the names of their files."""

    candidates: Table
    sets: Table
    confidence: Table


def regression(rows: list[dict], answers: list[bool], weights: list[float], strength: float) -> Table:
    """A logistic regression with an L2 penalty as a table; `strength` is the inverse of the penalty's."""
    vectorizer = DictVectorizer()
    matrix = vectorizer.fit_transform(rows)
    model = LogisticRegression(C=strength, max_iter=500).fit(matrix, answers, sample_weight=weights)
    names = vectorizer.get_feature_names_out()
    return Table(float(model.intercept_[0]), dict(zip(names, map(float, model.coef_[0]), strict=True)))


def fit_candidates(graphs: list[Labelled]) -> Table:
    ops = Counter(op for graph in graphs for op in {graph.anatomy.ops[name] for name in graph.features})
    known = {op for op, count in ops.items() if count >= MIN_GRAPHS}
    rows, answers, weights = [], [], []
    for graph in graphs:
        weight = 60 / len(graph.features) ** 0.5 * (1 if graph.owner else MADE)
        for name, features in graph.features.items():
            op = graph.anatomy.ops[name]
            rare = "" if op in known else f"op {op}"
            rows.append({feature: value for feature, value in features.items() if feature != rare})
            answers.append(is_wanted(graph, name))
            weights.append(weight)
    return regression(rows, answers, weights, 0.1)


def pool_of(graph: Labelled, table: Table) -> Pool:
    return Pool(graph.anatomy, graph.features, {n: table.log_odds(f) for n, f in graph.features.items()})


def pools_of_others(graphs: list[Labelled], seed: int) -> list[Pool]:
    """A pool for each graph, by a table that was fitted without its owner's."""
    pools: list[Pool | None] = [None] * len(graphs)
    for rest, left_out in halves(graphs, INNER, seed):
        table = fit_candidates([graphs[place] for place in rest])
        for place in left_out:
            pools[place] = pool_of(graphs[place], table)
    return pools


def halves(graphs: list[Labelled], folds: int, seed: int):
    owners = [graph.owner or f"made {place}" for place, graph in enumerate(graphs)]
    return GroupKFold(folds, shuffle=True, random_state=seed).split(owners, groups=owners)


def is_wanted(graph: Labelled, name: str) -> bool:
    return value_of(graph.anatomy.index, name) in graph.wanted


def fit_sets(graphs: list[Labelled], pools: list[Pool]) -> Table:
    """What tells a further output, on the way that choosing takes where it is right after the first."""
    rows, answers, weights = [], [], []
    for graph, pool in zip(graphs, pools, strict=True):
        chosen = pool.best[:1]
        for step in range(STEPS):
            for name in pool.left(chosen):
                rows.append(pool.beside(name, chosen))
                answers.append(is_wanted(graph, name))
                weights.append((0.6 if step else 1.0) * (1 if graph.owner else MADE))
            further = [name for name in pool.best if is_wanted(graph, name) and name not in chosen]
            if not further:
                break
            chosen = [*chosen, further[0]]
    return regression(rows, answers, weights, 0.03)


def fit_confidence(graphs: list[Labelled], pools: list[Pool], seed: int) -> Table:
    """Whether a set has all, of sets that were chosen by tables that were fitted without the owner of the graph."""
    rows, answers = [], []
    for rest, left_out in halves(graphs, INNER, seed):
        table = fit_sets([graphs[place] for place in rest], [pools[place] for place in rest])
        for graph, pool in ((graphs[place], pools[place]) for place in left_out if graphs[place].owner):
            chosen = pool.choose(table)
            rows.append(confidence.described(pool, chosen, table))
            answers.append(has_all(graph, chosen))
    return regression(rows, answers, [1.0] * len(rows), 3.0)


def has_all(graph: Labelled, names: list[str]) -> bool:
    return graph.wanted <= {value_of(graph.anatomy.index, name) for name in names}


def fit(graphs: list[Labelled], seed: int) -> Fitted:
    pools = pools_of_others(graphs, seed)
    return Fitted(fit_candidates(graphs), fit_sets(graphs, pools), fit_confidence(graphs, pools, seed))


def measure(graph: Labelled, fitted: Fitted) -> dict:
    """What is chosen in a graph, beside what is wanted."""
    pool = pool_of(graph, fitted.candidates)
    chosen = pool.choose(fitted.sets)
    first = sorted(pool.log_odds, key=lambda name: -pool.log_odds[name])[: max(5, len(graph.wanted))]
    sure = fitted.confidence.probability(confidence.described(pool, chosen, fitted.sets))
    values = {value_of(graph.anatomy.index, name) for name in chosen}
    of_training = [name for name in chosen if is_of_training(graph, name)]
    return {
        "graph": graph.name,
        "all": graph.wanted <= values,
        "none": graph.wanted.isdisjoint(values),
        "ratio": len(chosen) / len(graph.wanted),
        "first five": has_all(graph, first),
        "of training": len(of_training),
        "chosen": len(chosen),
        "confidence": sure,
    }


def is_of_training(graph: Labelled, name: str) -> bool:
    """Whether a node that nobody wants is a loss, a metric or an optimizer's value."""
    found = graph.features[name].keys() & {
        "is part of a loss", "is a single number", "is a comparison", "is a cross entropy", "its name speaks of loss",
        "its name speaks of metric", "its name speaks of training",
    }  # fmt: skip
    return bool(found & {"is part of a loss", "is a comparison", "is a cross entropy"} or len(found) > 1) and not (
        is_wanted(graph, name)
    )


def summary(rows: pd.DataFrame) -> str:
    return (
        f"all outputs in {rows['all'].mean():.1%}, none in {rows['none'].mean():.1%}, chosen/wanted "
        f"{rows['ratio'].median():.2g} in the median and {rows['ratio'].mean():.2f} in the mean, all among the first "
        f"five in {rows['first five'].mean():.1%}; of training {rows['of training'].sum() / rows['chosen'].sum():.1%}"
    )


def reliability(rows: pd.DataFrame) -> str:
    bins = pd.cut(rows["confidence"], BINS, include_lowest=True)
    grouped = rows.groupby(bins, observed=False)
    return grouped.agg(graphs=("all", "size"), said=("confidence", "mean"), true=("all", "mean")).round(2).to_string()


def cross_validate(graphs: list[Labelled], made: list[Labelled]) -> None:
    held_out, trained_on = [], []
    for seed in range(REPEATS):
        for rest, left_out in halves(graphs, FOLDS, seed):
            training = [graphs[place] for place in rest]
            fitted = fit([*training, *made], seed)
            held_out += [{"seed": seed, **measure(graphs[place], fitted)} for place in left_out]
            trained_on += [measure(graph, fitted) for graph in training]
        rows = pd.DataFrame(held_out)
        print(f"halves {seed}: {summary(rows[rows['seed'] == seed])}", flush=True)
    rows = pd.DataFrame(held_out)
    print(f"held out: {summary(rows)}\ntraining half: {summary(pd.DataFrame(trained_on))}")
    print(f"\n{reliability(rows)}")
    missed = rows[~rows["all"]].groupby("graph").agg(missed=("all", "size"), none=("none", "sum"))
    print(f"\nnot all found, of {REPEATS} times:\n{missed.to_string()}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoos", type=Path, nargs="+", metavar="ZOO")
    parser.add_argument("--write", action="store_true", help="write the tables, fitted on all graphs")
    args = parser.parse_args()

    made = list(labelled_graphs.of_tests())
    graphs = [graph for zoo in args.zoos for graph in labelled_graphs.of_zoo(zoo)]
    covered = sum(graph.are_candidates for graph in graphs)
    print(f"{len(graphs)} graphs of {len({graph.owner for graph in graphs})} owners, and {len(made)} of the tests")
    print(f"all wanted outputs are candidates in {covered} ({covered / len(graphs):.1%})", flush=True)
    if args.write:
        fitted = fit([*graphs, *made], 0)
        for name, table in vars(fitted).items():
            tables.write(tables.DIRECTORY / f"{name}.csv", table)
    cross_validate(graphs, made)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
