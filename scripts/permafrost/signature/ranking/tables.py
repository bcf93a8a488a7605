"""The fitted tables: how much each feature speaks for a candidate or against it.

They are logistic regressions, a line a feature; benchmarks/fit_outputs.py fits them and says how well they do.
"""

import csv
from dataclasses import dataclass
from functools import cache
from math import exp
from pathlib import Path

DIRECTORY = Path(__file__).parent / "assets"
_REASONS = 4  # that are told of a candidate
_TELLING = 0.15  # the least weight of a reason
_LARGEST = 30.0  # log-odds beyond which nothing changes


@dataclass(frozen=True)
class Table:
    """Feature -> weight, in log-odds for a feature of 1, and the log-odds where no feature holds."""

    intercept: float
    weights: dict[str, float]

    def log_odds(self, features: dict[str, float]) -> float:
        """What speaks for a candidate; features that the table does not know count nothing."""
        weights = self.weights
        return self.intercept + sum(weights.get(feature, 0.0) * value for feature, value in features.items())

    def probability(self, features: dict[str, float]) -> float:
        """The same as a probability."""
        return probability(self.log_odds(features))

    def reasons(self, features: dict[str, float]) -> list[str]:
        """The features that tell the most, with what each adds to the log-odds, e.g. `is a single number (-1.2)`."""
        parts = [(self.weights.get(feature, 0.0) * value, feature) for feature, value in features.items()]
        parts.sort(key=lambda part: (-abs(part[0]), part[1]))
        return [f"{feature} ({part:+.1f})" for part, feature in parts[:_REASONS] if abs(part) >= _TELLING]


def probability(log_odds: float) -> float:
    """The probability of log-odds."""
    return 1 / (1 + exp(-min(max(log_odds, -_LARGEST), _LARGEST)))


def write(path: Path, table: Table) -> None:
    """Writes a table as CSV, the heaviest features first; the intercept is the line without a feature."""
    lines = sorted(table.weights.items(), key=lambda line: (-abs(line[1]), line[0]))
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["feature", "weight"])
        rows.writerow(["", f"{table.intercept:.3f}"])
        rows.writerows([feature, f"{weight:.3f}"] for feature, weight in lines)


def read(path: Path) -> Table:
    """The table that `write` has written."""
    with path.open(encoding="utf-8", newline="") as file:
        weights = {line["feature"]: float(line["weight"]) for line in csv.DictReader(file)}
    return Table(weights.pop("", 0.0), weights)


@cache
def candidates() -> Table:
    """How likely a candidate is to be an output, by itself (signature.ranking.features)."""
    return read(DIRECTORY / "candidates.csv")


@cache
def sets() -> Table:
    """How likely a candidate is to be an output, beside those that are chosen (signature.ranking.selection)."""
    return read(DIRECTORY / "sets.csv")


@cache
def confidence() -> Table:
    """How likely a set is to have all outputs (signature.ranking.confidence)."""
    return read(DIRECTORY / "confidence.csv")
