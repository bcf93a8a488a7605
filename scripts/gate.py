"""Prints how the models ended and which are not as expected; succeeds only where every model is as expected.

gate.txt is there only after a success, so that the next run asks again about a zoo in which something is wrong. The
summary is kept either way: it is what the next run compares with.
"""

import argparse
import shutil
import sys
import textwrap
from pathlib import Path

import pandas as pd

from permafrost import settings
from permafrost.outcome import STATUSES, Problem
from permafrost.records import written_whole
from permafrost.report import csv_files

_WIDTH = 100
_MOST_SHOWN = 50
_NEEDED = ("model", "status", "cause", "message", "hint", "expect")


def read(summary: str | Path) -> pd.DataFrame:
    """The rows of summary.csv, all strings, with a column `as_expected` of bool.

    Raises Problem: io_error where the file cannot be read, internal where it is no summary.
    """
    rows = csv_files.read(summary, _NEEDED)
    strange = rows[~rows["status"].isin(STATUSES)]
    if len(strange):
        first = strange.iloc[0]
        raise Problem("internal", f"{summary} gives {first['model']!r} the status {first['status']!r}, which is none")
    rows["as_expected"] = [
        settings.meets(expect.split("; "), status, cause)
        for expect, status, cause in zip(rows["expect"], rows["status"], rows["cause"], strict=True)
    ]
    return rows


def counts(rows: pd.DataFrame) -> str:
    """A small table: how many models ended with each status, and how many of them were expected to."""
    if rows.empty:
        return "no checkpoint found below the zoo's directories; see `zoo` in the config\n"
    lines = [f"{'':12} {'models':>7} {'expected':>9}"]
    for status in STATUSES:
        expected = rows["as_expected"][rows["status"] == status]
        lines.append(f"{status:12} {len(expected):7} {int(expected.sum()):9}")
    return "\n".join(lines) + "\n"


def unexpected(rows: pd.DataFrame, summary: str | Path) -> str:
    """The models that are not as expected, with cause, message and hint, in at most 100 columns; the first 50."""
    bad = rows[~rows["as_expected"].astype(bool)]
    if bad.empty:
        return ""
    lines = [f"{len(bad)} of {len(rows)} models {'is' if len(bad) == 1 else 'are'} not as expected:", ""]
    for row in bad.head(_MOST_SHOWN).to_dict("records"):
        ended = f"{row['status']}, {row['cause']}" if row["cause"] else row["status"]
        wanted = "" if row["expect"] == "verified" else f" (expected: {row['expect'].replace('; ', ' or ')})"
        hint = row["hint"] or ("" if row["status"] != "verified" else "correct `expect:` in the model's settings")
        lines += _wrapped(f"{row['model']}: {ended}{wanted}", "  ", "      ")
        lines += _wrapped(row["message"], "      ", "      ")
        lines += _wrapped(hint, "      -> ", "         ")
    if len(bad) > _MOST_SHOWN:
        lines.append(f"... and {len(bad) - _MOST_SHOWN} more, see {_harmless(str(summary))}")
    return "\n".join(lines) + "\n"


def _wrapped(text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        _harmless(text), _WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False
    )


def _harmless(text: str) -> str:
    """`text` without what a terminal obeys: escape sequences, line ends, and marks that turn the writing direction."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--on-failure", choices=("fail", "report"), default="fail", help="`report` ends with 0 whatever the models did"
    )
    parser.add_argument("--quiet", action="store_true", help="prints nothing where all is well, else on stderr")
    parser.add_argument("--log", type=Path, help="where what is found is written besides")
    parser.add_argument("--keep", type=Path, help="where the summary of the last finished run is kept")
    parser.add_argument("summary", type=Path, help="summary.csv")
    parser.add_argument("gate", type=Path, help="gate.txt, to be written or removed")
    args = parser.parse_args(argv)

    printed = sys.stderr if args.quiet else sys.stdout
    printed.reconfigure(errors="backslashreplace")
    try:
        rows = read(args.summary)
        found = f"{counts(rows)}\n{unexpected(rows, args.summary)}"
        if not args.quiet or not rows["as_expected"].all():
            print(found, end="", file=printed)
        if args.log:
            args.log.write_text(found, encoding="utf-8", errors="backslashreplace")
        if args.keep:
            with written_whole(args.keep) as temporary:
                shutil.copyfile(args.summary, temporary)
        if args.on_failure == "fail" and not rows["as_expected"].all():
            args.gate.unlink(missing_ok=True)
            return 1
        with written_whole(args.gate) as temporary:
            temporary.write_text(counts(rows), encoding="utf-8")
    except Problem as problem:
        args.gate.unlink(missing_ok=True)
        print(_harmless(f"gate: {problem.message} ({problem.hint})"), file=sys.stderr)
        return 1
    except OSError as error:
        print(_harmless(f"gate: {error.filename or args.gate}: {error.strerror}"), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
