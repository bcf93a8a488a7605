"""What the page shows of exports: how many ended how, a table of them, and those of each model."""

from typing import Any

import pandas as pd

from permafrost import layout
from permafrost.export_records import FORMATS
from permafrost.outcome import EXPORT_STATUSES, VERIFIED
from permafrost.report.page import overview

MOST = 300  # rows
# How grave a status is, in the order in which rows are shown.
_GRAVE = ("mismatch", "refused", "unverifiable", "verified")
_OF_MODEL = (
    "format", "status", "cause", "message", "hint", "op", "node", "match", "max_abs_diff", "tolerance_used",
    "usual_match", "bytes", "baked", "changes",
)  # fmt: skip


def counts(exports: pd.DataFrame) -> list[dict[str, Any]]:
    """Of each format: how many of its exports ended with each status, those of models that are not verified apart."""
    own = exports[~_of_other_models(exports)]
    return [
        {
            "format": form,
            "counts": [int((own["status"][own["format"] == form] == status).sum()) for status in EXPORT_STATUSES],
            "others": int((exports["format"] == form).sum() - (own["format"] == form).sum()),
        }
        for form in FORMATS
        if (exports["format"] == form).any()
    ]


def _of_other_models(exports: pd.DataFrame) -> "pd.Series[bool]":
    """Which were not made since the model itself is not verified; its own row says why."""
    return exports["cause"] == "not_verified"


def unexpected(exports: pd.DataFrame) -> int:
    """How many exports are not as their settings expect."""
    return int((~overview.as_expected(exports)).sum())


def _not_well(exports: pd.DataFrame) -> "pd.Series[bool]":
    return ((exports["status"] != VERIFIED) | ~overview.as_expected(exports)) & ~_of_other_models(exports)


def not_well(exports: pd.DataFrame) -> int:
    """How many rows `worst_first` would have if it had all."""
    return int(_not_well(exports).sum())


def worst_first(exports: pd.DataFrame) -> list[dict[str, str]]:
    """The rows that the page shows, of what ended otherwise than well: the unexpected first, then the gravest."""
    order = exports.assign(
        as_expected=overview.as_expected(exports),
        grave=exports["status"].map(_grave),
        max_abs_diff=exports["max_abs_diff"].map(_short),
        tolerance_used=exports["tolerance_used"].map(_short),
    )
    order = order[_not_well(exports)]
    rows = order.sort_values(["as_expected", "grave", "model", "format"], kind="stable").head(MOST)
    found: list[dict[str, str]] = rows.to_dict("records")
    return found


def next_steps(exports: pd.DataFrame) -> list[dict[str, Any]]:
    """The exports that are not verified, by format, status, cause and hint, as overview.next_steps has models."""
    rows = exports.assign(as_expected=overview.as_expected(exports))
    rows = rows[_not_well(exports) & (exports["status"] != VERIFIED)]
    steps = [
        {
            "format": form,
            "status": status,
            "cause": cause,
            "hint": hint,
            "models": len(group),
            "expected": int(group["as_expected"].sum()),
            "named": group["model"].tolist()[: overview.MOST_NAMED],
        }
        for (form, status, cause, hint), group in rows.groupby(["format", "status", "cause", "hint"], sort=True)
    ]
    return sorted(steps, key=lambda step: (step["expected"] == step["models"], _grave(step["status"]), -step["models"]))


def _grave(status: str) -> int:
    return _GRAVE.index(status) if status in _GRAVE else 0


def _short(number: str) -> str:
    """A number of a table with three digits; what is no number stays what it is."""
    try:
        return f"{float(number):.3g}"
    except ValueError:
        return number


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
