"""Writes the cards of all models, the list of their files' hashes, and a page that leads to the cards."""

import os
from pathlib import Path
from urllib.parse import quote

from permafrost import layout, whole_files
from permafrost.model import Model
from permafrost.outcome import OK
from permafrost.report import csv_files, exports, summary
from permafrost.report.cards import describing, markdown
from permafrost.report.cards.card import Card, Table
from permafrost.report.markdown import escaped
from permafrost.report.tables.findings import FINDINGS
from permafrost.zoo.state_file import State

_HEAD = "# The models"


def of_model(model: Model, frozen: str, reports: str) -> tuple[Card, describing.Known] | None:
    """The card of a model, and what it was made of; None where it was not frozen, or a record cannot be read."""
    found = read(model, frozen, reports)
    return (describing.card(model.id, found), found) if found else None


def read(model: Model, frozen: str, reports: str) -> describing.Known | None:
    """What a card is made of; None where the model was not frozen, or a record cannot be read."""
    records = summary.read_records(frozen, reports, model.id)
    if records.wrong or records.provenance.status != OK or records.imported.status != OK:
        return None
    exported = exports.of_model(model, frozen, reports)
    return describing.Known(
        records.imported,
        records.provenance,
        records.verified,
        exported,
        csv_files.read_rows_or_none(layout.of_model(reports, model.id, layout.MODEL_FINDINGS), FINDINGS.header),
        model.about,
    )


def write(state: State, frozen: str, reports: str, index: Path) -> None:
    """Writes card.md and SHA256SUMS beside each frozen graph, and a table of all models to `index`. Raises OSError.

    Args:
      state: as zoo.state_file reads it.
      frozen, reports: the directories of provenance.json, and of the other records of the models.
    """
    rows = []
    for model in sorted(state.models, key=lambda model: model.id):
        directory = Path(layout.of_frozen(frozen, model.id, ""))
        made = of_model(model, frozen, reports)
        if made is None:
            _delete(directory)
            continue
        card, found = made
        _write_if_other(directory / layout.CARD, markdown.text(card))
        hashes = {name: sha256 for name, (_, sha256) in describing.files(found).items() if sha256}
        whole_files.write_hashes(directory / layout.HASHES, hashes)
        rows.append([_link(card, directory, index), model.about.task, model.about.owner, card.status])
    _write_if_other(index, _page(rows))


def _delete(directory: Path) -> None:
    for name in (layout.CARD, layout.HASHES):
        (directory / name).unlink(missing_ok=True)


def _link(card: Card, directory: Path, index: Path) -> str:
    where = quote(os.path.relpath(directory / layout.CARD, index.parent), errors="surrogateescape")
    return f"[{escaped(card.title)}]({where})"


def _page(rows: list[list[str]]) -> str:
    lines = [f"| {link} | {' | '.join(map(escaped, cells))} |" for link, *cells in rows]
    head = markdown.table(Table(["model", "task", "owner", "status"], []))
    return f"{_HEAD}\n\n" + "\n".join([head, *lines]) + "\n"


def _write_if_other(path: Path, text: str) -> None:
    content = text.encode("utf-8", "backslashreplace")
    if not path.is_file() or path.read_bytes() != content:
        with whole_files.written_whole(path) as temporary:
            temporary.write_bytes(content)
