"""What is said of one model, from its records, its findings and its settings."""

from math import prod
from typing import NamedTuple

import msgspec

from permafrost import layout
from permafrost.input_kinds import Default
from permafrost.model import About
from permafrost.outcome import VERIFIED
from permafrost.records import ImportRecord, Provenance, Verdict, is_known, known
from permafrost.report.cards import endpoints, snippets
from permafrost.report.cards.card import Card, Section, Table
from permafrost.report.tables.exports import Export

_MOST_FINDINGS = 30
_MOST_REPAIRS = 30


class Known(NamedTuple):
    """All that is known of a model that was frozen. findings: rows of its findings.csv."""

    imported: ImportRecord
    provenance: Provenance
    verified: Verdict
    exports: list[Export]
    findings: list[dict[str, str]]
    about: About


def card(model: str, found: Known) -> Card:
    """The card of a model whose frozen graph was made.

    Args:
      model: its id.
    """
    imported, provenance = found.imported, found.provenance
    sections = [
        _about(found.about),
        endpoints.inputs(imported, provenance),
        endpoints.outputs(imported, provenance),
        use(found),
        _verification(found),
        _findings(found.findings),
        _files(found),
        _origin(found),
    ]
    return Card(
        model=model,
        title=found.about.title or model,
        status=found.verified.status,
        notes=found.about.notes,
        sections=[section for section in sections if section.text or section.table or section.snippets],
    )


def _about(about: About) -> Section:
    said = [("task", about.task), ("owner", about.owner), ("licence", about.licence)]
    rows = [[name, value] for name, value in said if value]
    return Section(title="About", table=Table(["", ""], rows) if rows else None)


def use(found: Known) -> Section:
    """Programs that run the frozen graph and each verified export; none for a model that was not verified."""
    verified, provenance = found.verified, found.provenance
    if verified.status != VERIFIED:
        return Section(title="Use", text=["It was not verified; look at why before you use it."])
    values = _values(found)
    made = [export.record for export in found.exports if _is_usable(export, values)]
    given = {tensor: values[tensor] for tensor in _fed(found.imported, provenance)}
    programs = [snippets.of_frozen(provenance, given), *(snippets.of_export(record, values) for record in made)]
    text = (
        f"`{layout.EXAMPLE}` has the arrays of one trial, by the names of the tensors: what was fed, and what the "
        "frozen graph gave with TensorFlow's graph optimisers off. Each program runs in the directory of "
        f"`{layout.FROZEN_GRAPH}`."
        if is_known(verified.example)
        else f"There is no `{layout.EXAMPLE}`: {known(verified.no_example, 'it was verified before there were any')}. "
        f"Each program runs in the directory of `{layout.FROZEN_GRAPH}`, on values that are made up."
    )
    return Section(title="Use", text=[text], snippets=programs)


def _is_usable(export: Export, values: dict[str, str]) -> bool:
    """Whether an export was verified, and its record goes with those of the model: they may be of different runs."""
    record = export.record
    if export.ended.status != VERIFIED or record.format != export.format or not is_known(record.signature):
        return False
    return all(end.tensor in values for end in record.signature.inputs)


def _values(found: Known) -> dict[str, str]:
    """Tensor of the frozen graph -> the expression of a value for it, for each input that it has."""
    imported, provenance = found.imported, found.provenance
    batch = (known(found.verified.batches, []) or [1])[0]
    specs = {tensor: imported.inputs[name] for name, tensor in provenance.inputs.items() if name in imported.inputs}
    values = {tensor: snippets.made_up(spec, batch) for tensor, spec in specs.items()}
    if is_known(found.verified.example):
        values |= {tensor: snippets.from_example(tensor) for tensor in _fed(imported, provenance)}
    return values


def _fed(imported: ImportRecord, provenance: Provenance) -> list[str]:
    """The tensors of the frozen graph that are fed in a trial."""
    given = [name for name, spec in imported.inputs.items() if not isinstance(spec, Default)]
    return [provenance.inputs[name] for name in given if name in provenance.inputs]


def _verification(found: Known) -> Section:
    verified = found.verified
    if verified.status != VERIFIED:
        return Section(title="Verification", text=[f"{verified.status}, {verified.cause}: {verified.message}"])
    batches = ", ".join(str(batch) for batch in dict.fromkeys(known(verified.batches, [])))
    same = "the same bits" if verified.match == "bitwise" else "within the tolerance of the settings"
    text = [
        f"TensorFlow restored the checkpoint, loaded the frozen graph, and gave {same} for all outputs in "
        f"{verified.trials} trials with batches of {batches}; {known(verified.weights, 0)} weights are those of the "
        f"checkpoint, byte for byte; the outputs are {verified.behaviour}."
    ]
    control = known(verified.control, None)
    if control is not None and control.variable:
        text.append(f"Another value of {control.variable} changed {control.output}, and was noticed.")
    columns = ["format", "status", "match", "largest difference", "message"]
    rows = [_export_row(export) for export in found.exports]
    return Section(title="Verification", text=text, table=Table(columns, rows) if rows else None)


def _export_row(export: Export) -> list[str]:
    match, most = known(export.verdict.match, ""), known(export.verdict.max_abs_diff, None)
    return [export.format, export.ended.status, match, "" if most is None else f"{most:g}", export.ended.message]


def _findings(rows: list[dict[str, str]]) -> Section:
    shown = [[row["severity"], row["finding"], row["node"], row["advice"]] for row in rows[:_MOST_FINDINGS]]
    more = len(rows) - len(shown)
    text = [f"And {more} more, in findings.csv."] if more else []
    table = Table(["severity", "finding", "node", "advice"], shown) if shown else None
    return Section(title="What to know", text=text, table=table)


def _files(found: Known) -> Section:
    rows = [[name, str(size), sha256] for name, (size, sha256) in files(found).items()]
    return Section(title="Files", table=Table(["file", "bytes", "SHA-256"], rows))


def files(found: Known) -> dict[str, tuple[int, str]]:
    """The files beside the frozen graph, and itself: name -> bytes, and SHA-256 or "" where none was made."""
    provenance, verified = found.provenance, found.verified
    made = [export.record for export in found.exports if is_known(export.record.files)]
    sha256 = known(provenance.frozen_sha256, "") or next((record.frozen_sha256 for record in made), "")
    there = {layout.FROZEN_GRAPH: (provenance.frozen_bytes, sha256)}
    if is_known(verified.example):
        there[layout.EXAMPLE] = (verified.example.bytes, verified.example.sha256)
    for record in made:
        there |= {name: (known(record.stamps, {}).get(name, (0, 0))[0], own) for name, own in record.files.items()}
    return there


def _origin(found: Known) -> Section:
    """The checkpoint and what made the frozen graph of it."""
    imported, provenance = found.imported, found.provenance
    parameters = sum(prod(tensor.shape) for tensor in provenance.tensors)
    rows = [
        *([["step", str(imported.step)]] if known(imported.step, None) is not None else []),
        ["format", imported.format],
        ["written by TensorFlow", known(imported.tensorflow_version, "")],
        ["nodes", f"{known(imported.nodes, '')} in the meta graph, {provenance.frozen_nodes} in the frozen graph"],
        ["parameters", f"{parameters} in {len(provenance.tensors)} variables"],
        *(
            [name, msgspec.json.encode(value).decode()]
            for name, value in msgspec.to_builtins(known(provenance.options, {})).items()
            if value
        ),
        *(["made with", f"{name} {version}"] for name, version in known(provenance.versions, {}).items()),
        ["judged with TensorFlow", str(known(found.verified.environment, {}).get("tensorflow", ""))],
        *([f"SHA-256 of {name.rpartition('/')[2]}", value] for name, value in sorted(provenance.sha256.items())),
        *(["changed", f"{repair.node}: {repair.repair}"] for repair in provenance.repairs[:_MOST_REPAIRS]),
    ]
    more = len(provenance.repairs) - _MOST_REPAIRS
    text = [f"{more} more changed nodes are in provenance.json."] if more > 0 else []
    return Section(title="Where it is from", text=text, table=Table(["", ""], [row for row in rows if row[1]]))
