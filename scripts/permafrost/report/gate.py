"""Prints how the models ended and which are not as expected; succeeds only where every model is as expected.

gate.txt is there only after a success, so that the next run asks again about a zoo in which something is wrong. The
summary is kept either way: it is what the next run compares with.
"""

from dataclasses import dataclass
from pathlib import Path

from permafrost import settings
from permafrost.outcome import EXPORT_STATUSES, STATUSES, VERIFIED, Problem, harmless
from permafrost.records import FEW_WEIGHTS
from permafrost.report import csv_files, pasted_settings
from permafrost.report.amounts import counted

_MOST_SHOWN = 50
_NEEDED = ("model", "status", "cause", "message", "hint", "expect")


@dataclass(frozen=True)
class Row:
    """What the gate looks at in a row of summary.csv, or of judged.csv or exports.csv, without `weights_reached`.

    model: its id; of an export with the format behind it.
    """

    model: str
    status: str
    cause: str
    message: str
    hint: str
    expect: str
    weights_reached: str = ""

    @property
    def reaches_few(self) -> bool:
        """Whether the model is verified on outputs that depend on few of its trained weights."""
        return self.status == VERIFIED and bool(self.weights_reached) and float(self.weights_reached) < FEW_WEIGHTS

    @property
    def is_as_expected(self) -> bool:
        """Whether the model ended as its settings expect."""
        return settings.meets(self.expect.split("; "), self.status, self.cause)


def read(summary: str | Path) -> list[Row]:
    """The rows of summary.csv.

    Raises Problem: io_error where the file cannot be read, internal where it is no summary.
    """
    read = csv_files.read_rows(summary, _NEEDED)
    rows = [Row(*(row.get(column, "") for column in (*_NEEDED, "weights_reached"))) for row in read]
    _refuse_strange(rows, STATUSES, summary)
    strange = next((row for row in rows if row.weights_reached and not _is_share(row.weights_reached)), None)
    if strange:
        raise Problem("internal", f"{summary}: weights_reached of {strange.model!r} is no number from 0 to 1")
    return rows


def read_exports(exports: str | Path) -> list[Row]:
    """The rows of exports.csv. Raises as `read` does."""
    read = csv_files.read_rows(exports, (*_NEEDED, "format"))
    rows = [Row(f"{row['model']} as {row['format']}", *(row[column] for column in _NEEDED[1:])) for row in read]
    _refuse_strange(rows, EXPORT_STATUSES, exports)
    return rows


def _refuse_strange(rows: list[Row], statuses: tuple[str, ...], path: str | Path) -> None:
    strange = next((row for row in rows if row.status not in statuses), None)
    if strange:
        raise Problem("internal", f"{path} gives {strange.model!r} the status {strange.status!r}, which is none")


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def counts(rows: list[Row]) -> str:
    """A small table: how many models ended with each status, and how many of them were expected to."""
    if not rows:
        return "no checkpoint found below the zoo's directories; see `zoo` in the config\n"
    lines = _counted(rows, STATUSES, "models")
    return "\n".join([*lines, *_few(sum(row.reaches_few for row in rows))]) + "\n"


def export_counts(exports: list[Row]) -> str:
    """The same of exports; empty where nothing is exported."""
    if not exports:
        return ""
    others = sum(row.cause == "not_verified" for row in exports)
    told = [f"{others} of these {'is' if others == 1 else 'are'} of models that are not verified"] if others else []
    return "\n".join(["", *_counted(exports, EXPORT_STATUSES, "exports"), *told]) + "\n"


def _counted(rows: list[Row], statuses: tuple[str, ...], what: str) -> list[str]:
    lines = [f"{'':12} {what:>7} {'expected':>9}"]
    for status in statuses:
        expected = [row.is_as_expected for row in rows if row.status == status]
        lines.append(f"{status:12} {len(expected):7} {sum(expected):9}")
    return lines


def _few(count: int) -> list[str]:
    """How many verified models were verified on little of what was trained."""
    if not count:
        return []
    told = f"{count} verified {'model depends' if count == 1 else 'models depend'}"
    return [f"{told} on less than half of the trained weights: see few_weights in findings.csv"]


def unexpected(rows: list[Row], summary: str | Path, what: str = "models") -> str:
    """Those that are not as expected, with cause, message and hint; the first 50. Lines are as long as they are.

    Args:
      what: the rows are of.
    """
    bad = [row for row in rows if not row.is_as_expected]
    if not bad:
        return ""
    lines = [f"{len(bad)} of {len(rows)} {what} {'is' if len(bad) == 1 else 'are'} not as expected:", ""]
    for row in bad[:_MOST_SHOWN]:
        lines += told(row)
    if len(bad) > _MOST_SHOWN:
        lines.append(f"... and {len(bad) - _MOST_SHOWN} more, see {harmless(str(summary))}")
    return "\n".join(lines) + "\n"


def told(row: Row) -> list[str]:
    """How a row ended, why, what to do, and the settings to begin with, indented so that these can be copied."""
    ended = f"{row.status}, {row.cause}" if row.cause else row.status
    wanted = "" if row.expect == VERIFIED else f" (expected: {row.expect.replace('; ', ' or ')})"
    hint, settings_of_it = pasted_settings.split(row.hint)
    hint = hint or ("" if row.status != VERIFIED else "correct `expect:` in the model's settings")
    lines = [f"  {row.model}: {ended}{wanted}", f"      {row.message}", f"      -> {hint}"]
    lines += [f"        {line}" for line in settings_of_it.splitlines()]
    return [harmless(line) for line in lines if line.strip(" ->")]


def sentence(rows: list[Row], exports: list[Row]) -> str:
    """How all ended, in one sentence."""
    if not rows:
        return ""
    bad, whole = [[row for row in of if not row.is_as_expected] for of in (rows, exports)], _together(rows, exports)
    if not any(bad):
        return f"All of this is as expected: {whole}."
    return f"Not as expected: {_together(*bad)}, of {whole}; what to do stands above, and on the page."


def _together(models: list[Row], exports: list[Row]) -> str:
    told = [counted(len(models), "model")]
    if exports:
        told.append(counted(len(exports), "export"))
    return " and ".join(told)


def found(
    rows: list[Row],
    summary: str | Path,
    exports: list[Row] | None = None,
    table: str | Path = "",
    page: str | Path = "",
) -> str:
    """What the gate says of the rows of a summary: which models are not as expected, and how many ended how.

    Args:
      exports: the rows of exports.csv, which is at `table`.
      page: the path of the page with all of it; or "".
    """
    exports = exports or []
    parts = [unexpected(rows, summary), unexpected(exports, table, "exports"), counts(rows) + export_counts(exports)]
    ending = [f"Page: {harmless(str(page))}"] if str(page) else []
    ending += [sentence(rows, exports)]
    return "\n".join([*filter(None, parts), *filter(None, ending)]) + "\n"
