"""Prints how the models ended and which are not as expected; succeeds only where every model and export is.

gate.txt is there only after a success, so that the next run asks again about a zoo in which something is wrong. The
summary is kept either way: it is what the next run compares with. So is a row of history.csv, where this run made the
summary anew.
"""

import argparse
import shutil
import sys
from pathlib import Path

from permafrost.outcome import Problem, harmless
from permafrost.report import account, gate, history, run_file
from permafrost.whole_files import written_whole


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--on-failure", choices=("fail", "report"), default="fail", help="`report` ends with 0 whatever the models did"
    )
    parser.add_argument("--quiet", action="store_true", help="prints nothing where all is well, else on stderr")
    parser.add_argument("--page", type=Path, help="the page of all of it, to be named")
    parser.add_argument("--one", action="store_true", help="tells of each model, which are few, what was made of it")
    parser.add_argument("--frozen", default="frozen", help="the directory of the frozen graphs")
    parser.add_argument("--keep", type=Path, help="where the summary of the last finished run is kept")
    parser.add_argument("--history", type=Path, help="history.csv, to which a row is added")
    parser.add_argument("--run", type=Path, help="what the run used, which says when it began; may be missing")
    parser.add_argument("--exports", type=Path, help="exports.csv, of which every row has to be as expected too")
    parser.add_argument("summary", type=Path, help="summary.csv")
    parser.add_argument("gate", type=Path, help="gate.txt, to be written or removed")
    args = parser.parse_args(argv)

    printed = sys.stderr if args.quiet else sys.stdout
    printed.reconfigure(errors="backslashreplace")
    try:
        rows = gate.read(args.summary)
        exports = gate.read_exports(args.exports) if args.exports else []
        is_good = all(row.is_as_expected for row in (*rows, *exports))
        if not args.quiet or not is_good:
            whole = gate.found(rows, args.summary, exports, args.exports, args.page or "")
            print(account.text(args.summary, args.frozen, args.page) if args.one else whole, end="", file=printed)
        if args.keep:
            with written_whole(args.keep) as temporary:
                shutil.copyfile(args.summary, temporary)
        if args.history:
            run = run_file.read(args.run) if args.run else None
            history.append(args.history, history.row(rows, args.summary, run))
        if args.on_failure == "fail" and not is_good:
            args.gate.unlink(missing_ok=True)
            return 1
        with written_whole(args.gate) as temporary:
            temporary.write_text(gate.counts(rows) + gate.export_counts(exports), encoding="utf-8")
    except Problem as problem:
        args.gate.unlink(missing_ok=True)
        print(harmless(f"gate: {problem.message} ({problem.hint})"), file=sys.stderr)
        return 1
    except OSError as error:
        print(harmless(f"gate: {error.filename or args.gate}: {error.strerror}"), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
