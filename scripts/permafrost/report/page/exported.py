"""What the page shows of exports: how many ended how, a table of them, and those of each model."""

import pandas as pd

from permafrost import layout
from permafrost.outcome import EXPORT_STATUSES
from permafrost.report.page import overview

MOST = 300  # rows
# How grave a status is, in the order in which rows are shown.
_GRAVE = ("mismatch", "refused", "unverifiable", "verified")
_OF_MODEL = (
    "format", "status", "cause", "message", "hint", "op", "node", "match", "max_abs_diff", "usual_match", "bytes",
    "baked", "changes", "way",
)  # fmt: skip


def counts(exports: pd.DataFrame) -> list[tuple[str, int]]:
    """Each status, with how many exports ended so; those of which there are none are left out."""
    found = exports["status"].value_counts().to_dict()
    return [(status, found[status]) for status in EXPORT_STATUSES if status in found]


def unexpected(exports: pd.DataFrame) -> int:
    """How many exports are not as their settings expect."""
    return int((~overview.as_expected(exports)).sum())


def worst_first(exports: pd.DataFrame) -> list[dict[str, str]]:
    """The rows that the page shows: those that are not as expected first, then the gravest."""
    order = exports.assign(
        as_expected=overview.as_expected(exports),
        grave=exports["status"].map(lambda status: _GRAVE.index(status) if status in _GRAVE else 0),
    )
    rows = order.sort_values(["as_expected", "grave", "model", "format"], kind="stable").head(MOST)
    found: list[dict[str, str]] = rows.to_dict("records")
    return found


def by_model(exports: pd.DataFrame) -> dict[str, list[list[str]]]:
    """The cells of each model's exports, for the columns of `columns`."""
    return {str(model): rows[list(_OF_MODEL)].to_numpy().tolist() for model, rows in exports.groupby("model")}


def columns() -> list[str]:
    """The columns that are shown of a model's exports."""
    return list(_OF_MODEL)


def files(frozen: str) -> dict[str, list[str]]:
    """Format -> the files of an export, `{model}` for its id; the exported file itself first.

    Args:
      frozen: the directory of frozen graphs, relative to that of the reports.
    """
    return {
        form: [
            *(layout.of_frozen(frozen, "{model}", name) for name in (made[0], layout.export_record(form))),
            *(f"{layout.MODELS}/{{model}}/{name}" for name in layout.beside_reports(form)),
        ]
        for form, made in layout.EXPORTED.items()
    }
