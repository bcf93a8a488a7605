"""Breaks runs of the pipeline at random moments and by full disks: the next run must end as if nothing had happened.

    python benchmarks/faults.py [ZOO] [--models PATTERN] [--moments N] [--disks N] [--seed N] [--directory DIRECTORY]

A run over a few models is the pattern. Then, N times, one of a run's processes is killed (kill -9) at a random moment:
Snakemake, a job's shell, a client, the worker, a stage, what runs in its sandbox. And N times a run has all that it
writes, or its frozen graphs alone, on a disk that is full after so many files or so many pages, N of them evenly over
all; that needs a tmpfs, and thus root. After each a second run, undisturbed, must end with the exit status, the tables,
the records (but for times, and the token of an attempt that was made again) and the frozen graphs of the pattern, byte
for byte; a third must find nothing to do; and no process, half-written file or directory of a sandbox may be left. The
table counts what was broken and how it ended; the exit status is 1 where the fault of a run was seen in the next.
"""

import argparse
import contextlib
import csv
import fnmatch
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

HOME = Path(__file__).parents[1]
SNAKEMAKE = [sys.executable, "-m", "snakemake", "--snakefile", str(HOME / "Snakefile"), "--cores", "1"]
KINDS = ("Snakemake", "shell", "client or program", "worker", "stage", "sandbox")
LONGEST = 300  # s that a run may take
AMPLE = "size=1g,nr_inodes=100000"  # of a tmpfs; it cannot be bounded later where it was not from the beginning
# Different in each run: how long it took, and which file a frozen graph or an example was when it was written.
PASSING = ("timing", "frozen_stamp", "attempt", "changed")
OF_ONE_RUN = (".lock", ".zoo.json", ".run.json", "timings.csv")
# These say what has changed since the last finished run, so where the broken one was finished they say that.
OF_THE_LAST_RUN = ("changes.csv", "summary.md", ".last_summary.csv")


class Place:
    """A zoo, a directory for all that a run writes, and one for its temporary files."""

    def __init__(self, zoo: Path, directory: Path):
        self.directory = directory
        self.frozen, self.reports = directory / "frozen", directory / "reports"
        self.temporary = Path(tempfile.mkdtemp(prefix="faults-"))
        directory.mkdir(parents=True, exist_ok=True)
        self.settings = self.temporary / "settings.yaml"
        self.settings.write_text(json.dumps({"zoo": [_expected(zoo)]}))

    def start(self, *arguments: str) -> subprocess.Popen:
        """Starts a run; its output goes to the file `said` among the temporary ones."""
        environment = {key: value for key, value in os.environ.items() if key != "XDG_RUNTIME_DIR"}
        settings = ["--configfile", str(self.settings), "--config", "frozen=frozen", "reports=reports"]
        with open(self.temporary / "said", "wb") as said:
            return subprocess.Popen(
                [*SNAKEMAKE, *arguments, *settings],
                cwd=self.directory,
                env=environment | {"TMPDIR": str(self.temporary)},
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def run(self, *arguments: str) -> tuple[int, str]:
        """The exit status of a run, and what it printed."""
        return self.start(*arguments).wait(LONGEST), self.said()

    def said(self) -> str:
        return (self.temporary / "said").read_text(errors="replace")

    def made(self) -> dict[str, object]:
        """All that was made, by path, but for logs and times."""
        found = {}
        for root in (self.frozen, self.reports):
            for path in sorted(path for path in root.rglob("*") if path.is_file()):
                name = f"{root.name}/{path.relative_to(root)}"
                if path.name not in OF_ONE_RUN and path.suffix != ".log":
                    found[name] = _content(path)
        return found

    def left(self) -> list[str]:
        """What no run may leave: half-written files and sandboxes."""
        half = [path for root in (self.frozen, self.reports) for path in root.rglob("*.tmp")]
        return [str(path) for path in (*half, *self.temporary.glob("permafrost-sandbox-*"))]

    def delete(self) -> None:
        for directory in (self.directory, self.temporary):
            shutil.rmtree(directory, ignore_errors=True)


def _expected(zoo: Path) -> dict:
    """The entry of `zoo` for a copy of the sample zoo, or of a part of it, with what config.yaml says of that part."""
    (sample,) = yaml.safe_load((HOME / "config.yaml").read_text(encoding="utf-8"))["zoo"]
    models = {pattern: of for pattern, of in sample["models"].items() if (zoo / pattern.split("/")[0]).exists()}
    return {"directory": str(zoo), "models": models}


def _content(path: Path) -> object:
    """What a file says, but for the times in it."""
    if path.suffix == ".json":
        return _lasting(json.loads(path.read_text()))
    if path.name == "index.html":
        return b""
    if path.name == "history.csv":  # The broken run is a row of its own where it finished.
        with open(path, newline="") as rows:
            return {**list(csv.DictReader(rows))[-1], "date": "", "seconds": ""}
    if path.name == "summary.md":
        return [line for line in path.read_text().splitlines() if "Finished: " not in line]
    return path.read_bytes()


def _lasting(record: object) -> object:
    """A record without what is different in each run."""
    if isinstance(record, list):
        return [_lasting(value) for value in record]
    if isinstance(record, dict):
        return {key: _lasting(value) for key, value in record.items() if key not in PASSING}
    return record


def processes_of(run: int) -> dict[str, list[int]]:
    """The processes of the run whose main process is `run`, by what they are."""
    found: dict[str, list[int]] = {}
    ours = f"PERMAFROST_RUN={run}".encode()
    parents = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if stat[0] not in b"ZX" and ours in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                parents[pid] = (int(stat[1]), words)
    workers = {pid for pid, (_, words) in parents.items() if words[1:2] and words[1].endswith(b"/worker.py")}
    for pid, (parent, words) in parents.items():
        if pid in workers:
            above = parents.get(parent, (0, []))[0]
            kind = "worker" if parent not in workers else "stage" if above not in workers else "sandbox"
        else:
            kind = "shell" if words[0].endswith(b"sh") else "client or program"
        found.setdefault(kind, []).append(pid)
    if Path(f"/proc/{run}").exists():
        found["Snakemake"] = [run]
    return found


@dataclass
class Outcome:
    """What was broken, whether that run ended well all the same, and what was wrong after the next."""

    what: str
    noticed: bool
    wrong: list[str]


def after(place: Place, pattern: dict[str, object], status: int) -> list[str]:
    """Runs again, undisturbed; says in sentences what is other than in the pattern, or left behind."""
    finished = (place.reports / ".last_summary.csv").exists()
    ended, said = place.run()
    wrong = [] if ended == status else [f"the next run ended with {ended}: {said[-1500:]}"]
    made = place.made()
    for name in sorted(made.keys() | pattern.keys()):
        if finished and name.removeprefix("reports/") in OF_THE_LAST_RUN:
            continue
        if made.get(name) != pattern.get(name):
            wrong.append(f"{name} differs: {made.get(name)!r:.700} and not {pattern.get(name)!r:.700}")
    wrong += [f"{path} was left" for path in place.left()]
    ended, said = place.run()
    if ended != status or "Nothing to be done" not in said:
        wrong.append(f"the run after that had something to do: {said[-1500:]}")
    return wrong


def kill_one(place: Place, chance: random.Random, seconds: float) -> tuple[str, bool]:
    """Kills a process of a run at a random moment; returns what it was, and whether the run ended with a failure."""
    process, what = place.start(), chance.choice(KINDS)
    time.sleep(chance.uniform(0.5, seconds))
    # Most kinds live for a part of a second: the next of them is waited for.
    while process.poll() is None:
        if found := processes_of(process.pid).get(what):
            time.sleep(chance.uniform(0, 0.1))
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(found), 9)
            return f"{what} killed", process.wait(LONGEST) != 0
        time.sleep(0.005)
    return f"no {what} was left to be killed", process.returncode != 0


def killed_at(zoo: Path, home: Path, moments: int, seed: int, pattern: tuple) -> Iterator[Outcome]:
    """Outcomes of runs of which one process was killed."""
    made, status, seconds = pattern
    chance = random.Random(seed)
    for _ in range(moments):
        place = Place(zoo, home / "killed")
        what, noticed = kill_one(place, chance, seconds)
        yield Outcome(what, noticed, after(place, made, status))
        place.delete()


@contextlib.contextmanager
def disk(directory: Path) -> Iterator[Path]:
    """An empty tmpfs. Raises RuntimeError where none can be mounted."""
    directory.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", AMPLE, "tmpfs", str(directory)], capture_output=True).returncode:
        raise RuntimeError("a tmpfs cannot be mounted here")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def limit(directory: Path, **bound: int) -> None:
    """Leaves room for so many `pages` or `files` more on a tmpfs; where neither is given there is plenty again."""
    pages, files = _taken(directory)
    options = [f"size={4 * (pages + bound['pages'])}k"] if "pages" in bound else []
    options += [f"nr_inodes={files + bound['files']}"] if "files" in bound else []
    subprocess.run(["mount", "-o", f"remount,{','.join(options) or AMPLE}", str(directory)], check=True)


def _taken(directory: Path) -> tuple[int, int]:
    """How many pages and files there are on a tmpfs."""
    found = os.statvfs(directory)
    return found.f_blocks - found.f_bfree, found.f_files - found.f_ffree


def full_at(zoo: Path, home: Path, disks: int, pattern: tuple) -> Iterator[Outcome]:
    """Outcomes of runs on disks that were full after so many files or pages."""
    made, status, _ = pattern
    directory = home / "full"
    for where, mounted in (("all", directory), ("frozen graphs", directory / "frozen")):
        used = _used(zoo, directory, mounted) if disks > 1 else (1, 1)
        for what, most in zip(("pages", "files"), used, strict=True):
            for bound in sorted({1 + most * number // disks for number in range(disks)}):
                with disk(mounted) as small:
                    place = Place(zoo, directory)
                    limit(small, **{what: bound})
                    ended, _ = place.run()
                    limit(small)
                    yield Outcome(f"disk of {where} full after {bound} {what}", ended != 0, after(place, made, status))
                place.delete()


def _used(zoo: Path, directory: Path, mounted: Path) -> tuple[int, int]:
    """How many pages and files an undisturbed run in `directory` adds to the disk that is `mounted`."""
    with disk(mounted) as small:
        place = Place(zoo, directory)
        pages, files = _taken(small)
        place.run()
        all_pages, all_files = _taken(small)
    place.delete()
    return all_pages - pages, all_files - files


def undisturbed(zoo: Path, home: Path) -> tuple[dict[str, object], int, float]:
    """What a run makes, its exit status, and how long it takes (s). Raises RuntimeError where it makes no summary."""
    place, begin = Place(zoo, home / "pattern"), time.monotonic()
    status, said = place.run()
    seconds = time.monotonic() - begin
    if not (place.reports / "summary.csv").exists():
        raise RuntimeError(f"the undisturbed run failed:\n{said}")
    made = place.made()
    place.delete()
    return made, status, seconds


def tell(outcomes: Iterator[Outcome], counts: dict[str, Counter]) -> None:
    """Counts and prints outcomes as they come."""
    for outcome in outcomes:
        kind = outcome.what.partition(" full after")[0]
        counts.setdefault(kind, Counter()).update(runs=1, noticed=outcome.noticed, wrong=bool(outcome.wrong))
        print(f"{outcome.what}:", *(outcome.wrong or ["as if nothing had happened"]), sep="\n    ", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", nargs="?", type=Path, default=HOME / "models")
    parser.add_argument("--models", nargs="+", default=["linear", "broken_truncated"], help="directories of the zoo")
    parser.add_argument("--moments", type=int, default=200, help="runs of which a process is killed")
    parser.add_argument("--disks", type=int, default=20, help="disks of each of the four kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--directory", type=Path, help="where it is done; a temporary directory by default")
    args = parser.parse_args()

    counts: dict[str, Counter] = {}
    with tempfile.TemporaryDirectory(prefix="faults-", dir=args.directory) as directory:
        home = Path(directory)
        for model in sorted(os.listdir(args.zoo)):
            if any(fnmatch.fnmatch(model, pattern) for pattern in args.models):
                shutil.copytree(args.zoo / model, home / "zoo" / model)
        pattern = undisturbed(home / "zoo", home)
        print(f"undisturbed: {len(pattern[0])} files, exit status {pattern[1]}, {pattern[2]:.1f} s", flush=True)
        tell(killed_at(home / "zoo", home, args.moments, args.seed, pattern), counts)
        try:
            tell(full_at(home / "zoo", home, args.disks, pattern) if args.disks else iter(()), counts)
        except RuntimeError as error:
            print(f"no disk was filled: {error}", flush=True)
    print(f"\n{'':40} {'runs':>5} {'failed':>7} {'wrong in the next':>18}")
    for kind, count in sorted(counts.items()):
        print(f"{kind:40} {count['runs']:5} {count['noticed']:7} {count['wrong']:18}")
    return int(any(count["wrong"] for count in counts.values()))


if __name__ == "__main__":
    raise SystemExit(main())
