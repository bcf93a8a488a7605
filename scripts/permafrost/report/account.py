"""What became of one checkpoint, in about ten lines for who has no zoo: its row of summary.csv, told."""

from pathlib import Path

from permafrost import layout
from permafrost.outcome import VERIFIED, harmless
from permafrost.report import csv_files, gate
from permafrost.report.amounts import size

_WIDTH = 14  # columns of what a line is about


def text(summary: str | Path, frozen: str, page: str | Path) -> str:
    """The lines on each model of a summary, which are few: how it ended, and what was made of what.

    Args:
      frozen: the directory of the frozen graphs.
      page: the path of the page.
    Raises Problem as gate.read does.
    """
    rows = {row.model: row for row in gate.read(summary)}
    rows_of_findings = csv_files.read_rows_or_none(Path(summary).with_name(layout.FINDINGS), ("model",))
    findings = [row["model"] for row in rows_of_findings]
    lines = []
    for told in csv_files.read_rows(summary, ("model", "status")):
        lines += [*_ended(rows[told["model"]]), *_made(told, frozen, findings.count(told["model"])), ""]
    return "\n".join(map(harmless, [*lines, f"Page: {page}"])) + "\n"


def _ended(row: gate.Row) -> list[str]:
    if row.status == VERIFIED:
        return [f"{row.model}: verified; the frozen graph computes what the checkpoint computes"]
    return gate.told(row)


def _made(told: dict[str, str], frozen: str, findings: int) -> list[str]:
    at = layout.of_frozen(frozen, told["model"], layout.FROZEN_GRAPH)
    step = f", step {told['step']}" if told["step"] else ""
    before, frozen_size = (size(float(told[column] or 0)) for column in ("checkpoint_bytes", "frozen_bytes"))
    after = f"{_graph(told, 'frozen_nodes', 'frozen_variables')}, {frozen_size}"
    written = f", TensorFlow {told['tensorflow_version']}" if told["tensorflow_version"] else ""
    said = {
        "checkpoint": f"{told['prefix']}: {told['format']}{step}, {before}{written}",
        "meta graph": _graph(told, "nodes", "variables"),
        "inputs": told["inputs_why"],
        "outputs": f"{told['outputs']} ({_how_sure(told)})" if told["outputs"] else "",
        "frozen graph": f"{at}: {after}" if told["frozen_nodes"] else "",
        "repairs": told["repairs"],
        "checked": f"{told['trials']} trials, {told['match']}, {told['behaviour']}" if told["match"] else "",
        "exports": told["exports"],
        "findings": f"{findings}, which findings.csv and the page tell" if findings else "none",
    }
    return [f"  {name:{_WIDTH}}{line}" for name, line in said.items() if line]


def _graph(told: dict[str, str], *columns: str) -> str:
    counted = zip(columns, ("nodes", "variables"), strict=True)
    return ", ".join(f"{told[column]} {what}" for column, what in counted if told[column])


def _how_sure(told: dict[str, str]) -> str:
    named = told["outputs_confidence"] in ("", "1.0")
    return told["outputs_why"] if named else f"complete with a confidence of {float(told['outputs_confidence']):.2f}"
