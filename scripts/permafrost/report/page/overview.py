"""What the page holds: the answer on top, what to do next, and the tables that its script shows, as compact JSON.

A page of 10,000 models must open as one of 10 does. All rows of summary.csv are in it, and details of as many models as
fit into a few megabytes, those that need somebody's attention first.
"""

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from permafrost import settings
from permafrost.outcome import STATUSES, VERIFIED
from permafrost.records import FEW_WEIGHTS
from permafrost.report.columns import TEXT
from permafrost.report.reference import type_of
from permafrost.report.tables.findings import SEVERITIES

MOST_DETAIL = 6_000_000  # characters of JSON
MOST_CHANGES = 500  # rows
_MANY = 1_000  # models, above which long texts are cut
_LONGEST = 200  # characters of such a text
MOST_NAMED = 5  # models that are named with a cause
_SURE = 0.9  # outputs of which one need not look at
_MOST_UNSURE = 10

# How grave a status is: what must not be used first.
_GRAVE = ("mismatch", "failed", "unverifiable", "verified")


def answer(summary: pd.DataFrame) -> list[dict[str, Any]]:
    """For each status how many models ended so, and how many of them were expected to."""
    expected = as_expected(summary)
    return [
        {
            "status": status,
            "models": int((summary["status"] == status).sum()),
            "expected": int((expected & (summary["status"] == status)).sum()),
        }
        for status in STATUSES
    ]


def as_expected(summary: pd.DataFrame) -> pd.Series:
    """Whether each model ended as its settings expect."""
    met = (
        settings.meets(expect.split("; "), status, cause)
        for expect, status, cause in zip(summary["expect"], summary["status"], summary["cause"], strict=True)
    )
    return pd.Series(list(met), index=summary.index, dtype=bool)


def next_steps(summary: pd.DataFrame) -> list[dict[str, Any]]:
    """What is not verified, by status, cause and hint: the gravest first, then what concerns the most models."""
    rows = summary.assign(as_expected=as_expected(summary))
    rows = rows[rows["status"] != VERIFIED]
    steps = [
        {
            "status": status,
            "cause": cause,
            "hint": hint,
            "models": len(group),
            "expected": int(group["as_expected"].sum()),
            "named": group["model"].tolist()[:MOST_NAMED],
        }
        for (status, cause, hint), group in rows.groupby(["status", "cause", "hint"], sort=True)
    ]
    return sorted(steps, key=lambda step: (step["expected"] == step["models"], _grave(step["status"]), -step["models"]))


def warnings(findings: pd.DataFrame) -> list[dict[str, Any]]:
    """The findings by kind: severity, how many models have it, and the advice of the first."""
    grouped = findings.groupby(["severity", "finding"], sort=True)
    found = [
        {"severity": severity, "finding": kind, "models": group["model"].nunique(), "advice": group["advice"].iloc[0]}
        for (severity, kind), group in grouped
    ]
    order = {severity: rank for rank, severity in enumerate(SEVERITIES)}
    return sorted(found, key=lambda row: (order.get(row["severity"], len(order)), -row["models"]))


def unsure(summary: pd.DataFrame) -> dict[str, Any]:
    """The verified models whose outputs are the least sure to be all, and how many there are of whom one should look.

    `few` counts those that depend on few of the trained weights.
    """
    rows = summary[summary["status"] == VERIFIED]
    rows = rows.assign(sure=pd.to_numeric(rows["outputs_confidence"]), reached=pd.to_numeric(rows["weights_reached"]))
    # Before rows are left out: pandas takes the rows of a new column for those of a table that has none.
    rows = rows.assign(few=rows["reached"] < FEW_WEIGHTS)
    looked = rows[(rows["sure"] < _SURE) | rows["few"]].sort_values(["sure", "model"], kind="stable")
    shown = looked[["model", "sure", "few", "outputs"]].head(_MOST_UNSURE)
    return {"models": len(looked), "few": int(rows["few"].sum()), "named": shown.to_dict("records")}


def told_changes(changes: pd.DataFrame) -> list[dict[str, Any]]:
    """One row for each model in changes.csv: what became of its status, else which columns changed, and the first."""
    named = changes.groupby("model")["column"].agg(", ".join).to_dict()
    causes = changes[changes["column"] == "cause"].set_index("model")["after"].to_dict()
    told = []
    for row in changes.drop_duplicates("model").to_dict("records"):  # a status comes before all else
        if row["change"] == "changed":
            row["column"] = named[row["model"]]
        elif cause := causes.get(row["model"], ""):
            row["after"] += f", {cause}"
        told.append(row)
    return told


def packed(frame: pd.DataFrame) -> dict[str, Any]:
    """The columns of a table of texts: numbers as numbers, and texts that repeat once, with a number for each row."""
    made: dict[str, list[Any] | dict[str, list[Any]]] = {}
    for name in frame.columns:
        values = frame[name].tolist()
        if type_of(name) != TEXT:
            made[name] = [_number(value) for value in values]
            continue
        distinct = list(dict.fromkeys(values))
        if len(distinct) * 2 > len(values):
            made[name] = values
        else:
            codes = {value: code for code, value in enumerate(distinct)}
            made[name] = {"values": distinct, "codes": [codes[value] for value in values]}
    return made


def _number(text: str) -> int | float | str | None:
    try:
        number = float(text)
    except ValueError:
        return None
    if not math.isfinite(number):
        return str(number)  # JSON has no infinite numbers
    return int(text) if text.lstrip("-").isdecimal() else number


def models_table(summary: pd.DataFrame, findings: pd.DataFrame, hide: Callable[[str], str]) -> dict[str, Any]:
    """summary.csv as `packed` gives it, without directories, and with what the page filters by."""
    shown = summary.assign(prefix=summary["prefix"].str.replace(r"^.*[/\\]", "", regex=True))
    shown = shown.assign(as_expected=as_expected(summary).map({True: "yes", False: "no"}))
    kinds = findings.groupby("model")["finding"].agg(lambda found: "; ".join(sorted(set(found))))
    shown = shown.assign(kinds_of_findings=shown["model"].map(kinds).fillna(""))
    for name in shown.columns:
        if name != "model" and type_of(name) == TEXT:
            shown[name] = [_cut(hide(text), len(shown)) for text in shown[name]]
    return packed(shown)


def ops(op_types: pd.DataFrame, models: list[str]) -> dict[str, Any]:
    """Which op types each model has: their `names`, distinct `sets` of their numbers, and `of` each model its set."""
    found: dict[str, set[str]] = {}
    for model, op in zip(op_types["model"], op_types["op_type"], strict=True):
        found.setdefault(model, set()).add(op)
    names = sorted(set(op_types["op_type"]))
    number = {name: place for place, name in enumerate(names)}
    sets: dict[tuple[int, ...], int] = {}
    of = [sets.setdefault(tuple(sorted(number[op] for op in found.get(model, ()))), len(sets)) for model in models]
    return {"names": names, "sets": list(sets), "of": of}


def _cut(text: str, models: int) -> str:
    return text if models <= _MANY or len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def worst_first(summary: pd.DataFrame) -> list[str]:
    """The models in the order in which their details matter."""
    rows = summary.assign(as_expected=as_expected(summary), grave=summary["status"].map(_grave))
    models: list[str] = rows.sort_values(["as_expected", "grave", "model"], kind="stable")["model"].tolist()
    return models


def _grave(status: str) -> int:
    return _GRAVE.index(status) if status in _GRAVE else 0


def details(models: Iterable[str], detail: Callable[[str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The details of the first models, as many as fit into MOST_DETAIL; those of the others are not even read."""
    found, room = {}, MOST_DETAIL
    for model in models:
        made = detail(model)
        room -= len(json.dumps(made))
        if room < 0:
            break
        found[model] = made
    return found
