"""Runs Snakemake over a zoo in a directory of its own, and says which jobs ran."""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

import forked_snakemake
from conftest import HOME

SNAKEFILE = ["--snakefile", str(HOME / "Snakefile")]
SNAKEMAKE = [sys.executable, "-m", "snakemake"]


@dataclass
class Run:
    """How a run ended: exit status, all that it printed, and the number of jobs of each rule that were planned.

    Where files of the zoo were touched or copied, `discover` alone notes what they look like now: `nothing_made`.
    """

    status: int
    output: str
    jobs: dict[str, int]

    @property
    def nothing_done(self) -> bool:
        return "Nothing to be done" in self.output

    @property
    def nothing_made(self) -> bool:
        return self.nothing_done or (self.status == 0 and self.jobs == {"discover": 1})


def sample_settings(*directories: str) -> dict[str, dict]:
    """What config.yaml says of the models in these directories of the sample zoo, or of all where none is named."""
    (sample,) = yaml.safe_load((HOME / "config.yaml").read_text(encoding="utf-8"))["zoo"]
    chosen = {pattern: of for pattern, of in sample["models"].items() if pattern.split("/")[0] in directories}
    return chosen if directories else sample["models"]


class Workspace:
    """A directory with a zoo, its outputs and Snakemake's own notes. All names have spaces in them.

    `models` are settings of the zoo's models, which go with it.
    """

    def __init__(self, directory: Path, models: dict[str, dict] | None = None):
        self.directory = directory
        self.zoo, self.frozen, self.reports = (directory / f"my {name}" for name in ("zoo", "frozen", "reports"))
        self.zoo.mkdir(parents=True, exist_ok=True)
        # In a file, since Snakemake takes all numbers inside of what --config says for text.
        self.settings = directory / "zoo.yaml" if models else None
        if models:
            self.settings.write_text(json.dumps({"zoo": [{"directory": "my zoo", "models": models}]}))

    def command(self, *arguments: str, zoo: str = "", **config: str) -> list[str]:
        return [*SNAKEMAKE, *self.arguments(*arguments, zoo=zoo, **config)]

    def arguments(self, *arguments: str, zoo: str = "", **config: str) -> list[str]:
        chosen = {"frozen": "my frozen", "reports": "my reports", **config}
        given = list(arguments)
        if zoo or not self.settings:
            chosen["zoo"] = zoo or "my zoo"
        else:
            given += [] if "--configfile" in given else ["--configfile"]
            given.insert(given.index("--configfile") + 1, str(self.settings))
        return [*SNAKEFILE, *given, "--config", *(f"{key}={value}" for key, value in chosen.items())]

    def run(self, *arguments: str, zoo: str = "", **config: str) -> Run:
        before = logs_of(self.directory)
        done = forked_snakemake.run(self.arguments(*arguments, zoo=zoo, **config), self.directory, joined=True)
        # What is planned, Snakemake prints with -n, and else its log has it.
        logged = [path.read_text() for path in logs_of(self.directory) if path not in before]
        return Run(done.returncode, done.stdout, planned_jobs("\n".join([done.stdout, *logged])))

    def summary(self) -> pd.DataFrame:
        return pd.read_csv(self.reports / "summary.csv", keep_default_na=False).set_index("model")

    def changes(self) -> pd.DataFrame:
        return pd.read_csv(self.reports / "changes.csv", dtype=str, keep_default_na=False)

    def leftovers(self) -> list[Path]:
        return [path for root in (self.frozen, self.reports) for path in root.rglob("*.tmp")]


def logs_of(directory: Path) -> list[Path]:
    """Snakemake's log files of the runs in a directory."""
    return sorted((directory / ".snakemake" / "log").glob("*.snakemake.log"))


def planned_jobs(output: str) -> dict[str, int]:
    """The first table of job counts that Snakemake printed, without `all` and `total`."""
    table = re.search(r"^Job stats:\njob\s+count\n-+\s+-+\n(.*?)\n\n", output, re.MULTILINE | re.DOTALL)
    rows = [line.rsplit(None, 1) for line in table[1].splitlines()] if table else []
    return {rule.strip(): int(count) for rule, count in rows if rule.strip() not in ("all", "total")}
