"""The inputs and outputs of a model as tables: what each is called, what it takes or gives, and how that is known."""

from typing import Any, assert_never

from permafrost import input_kinds as kinds
from permafrost.records import ImportRecord, Output, Provenance, known
from permafrost.report import csv_files
from permafrost.report.cards.card import Section, Table

_ALTERNATIVES = 5
_NAMED = "named in the settings"


def inputs(imported: ImportRecord, provenance: Provenance) -> Section:
    """What goes in: the tensors to feed, in the order of import.json, and the inputs that are constants now."""
    baked: dict[str, Any] = known(provenance.baked, {})
    fed = known(provenance.inputs, {})
    rows = []
    for name, spec in imported.inputs.items():
        tensor = fed.get(name, name)
        values = f"always {baked[name]}; a constant of the frozen graph" if name in baked else values_of(spec)
        rows.append([tensor, spec.dtype, _shape(spec.shape), values, _known_from(spec)])
    text = ["A dimension `?` is chosen by who feeds it."] if any("?" in row[2] for row in rows) else []
    table = Table(["tensor", "dtype", "shape", "values", "known from"], rows)
    return Section(title="What goes in", text=text if rows else ["Nothing."], table=table if rows else None)


def outputs(imported: ImportRecord, provenance: Provenance) -> Section:
    """What comes out, what spoke for each where it was chosen, how sure that is, and what else could be chosen."""
    described, rows = known(imported.described, {}), []
    header = ["tensor", "dtype", "shape", "meaning"]
    favoured = {} if imported.outputs_why == _NAMED else _favoured(imported)
    for name, tensor in zip(imported.outputs, provenance.outputs, strict=False):
        found = described.get(name, Output("", None, ""))
        row = [tensor, found.dtype, _shape(found.shape), found.meaning]
        rows.append([*row, favoured.get(name, "")] if favoured else row)
    return Section(
        title="What comes out",
        text=[_reasoned(imported, favoured), *_others(imported)],
        table=Table([*header, "chosen since"] if favoured else header, rows),
    )


def values_of(spec: kinds.Input) -> str:
    """What an input's values are, with their range, as a few words."""
    match spec:
        case kinds.Uniform():
            return f"{spec.low:g} to {spec.high:g}"
        case kinds.OneHot():
            return "one of each row is 1, the others 0"
        case kinds.State():
            return "-1 to 1, or zeros"
        case kinds.Integers(high=None):
            return f"whole numbers from {spec.low} to the length of what they go with"
        case kinds.Integers():
            return f"whole numbers from {spec.low} to {(spec.high or 0) - 1}"
        case kinds.Value():
            return f"{csv_files.text(spec.value)}"[:200]
        case kinds.File():
            return "from a file of the settings"
        case kinds.Indices():
            return "indices of a sparse tensor"
        case kinds.Sizes():
            return "a shape"
        case kinds.RowSplits():
            return "where the rows of a ragged tensor begin and end"
        case kinds.Strings():
            return spec.content.why
        case kinds.Default():
            return "the graph's own default, where nothing is fed"
        case _:
            assert_never(spec)


def _shape(shape: kinds.Shape | None) -> str:
    return "" if shape is None else csv_files.shape(shape)


def _known_from(spec: kinds.Input) -> str:
    """What an input's description was made of, and which of its sizes are no more than a guess."""
    if spec.open == "rank":
        return f"{spec.why}; the graph declares no shape"
    guessed = [str(at) for at in spec.open if (spec.shape or [])[at : at + 1] != [None]] if spec.open else []
    many = "dimensions" if len(guessed) > 1 else "dimension"
    return f"{spec.why}; the graph leaves {many} {', '.join(guessed)} open" if guessed else spec.why


def chosen(imported: ImportRecord) -> str:
    """How the outputs were chosen, and how likely they are all that a user wants; a sentence without its end."""
    if imported.outputs_why == _NAMED:
        return "The outputs are named in the settings"
    sure = known(imported.outputs_confidence, None)
    said = f", {sure:.0%} sure" if isinstance(sure, float) else ""
    return f"The outputs were chosen from the graph{said}"


def _reasoned(imported: ImportRecord, favoured: dict[str, str]) -> str:
    """How the outputs were chosen, and why, where no column of the table says that."""
    is_told = favoured or imported.outputs_why == _NAMED
    return f"{chosen(imported)}." if is_told else f"{chosen(imported)}: {imported.outputs_why}."


def _favoured(imported: ImportRecord) -> dict[str, str]:
    """Output -> what speaks for it, without the weight of each reason; empty where nothing was weighed."""
    ranking = [each for each in known(imported.outputs_ranking, []) if each.chosen]
    weighed = {each.name: [text.rpartition(" (") for text in each.reasons] for each in ranking}
    favoured = {name: [text for text, _, weight in reasons if weight[:1] == "+"] for name, reasons in weighed.items()}
    return {name: ", ".join(reasons) for name, reasons in favoured.items() if reasons}


def _others(imported: ImportRecord) -> list[str]:
    others = [each.name for each in known(imported.outputs_ranking, []) if not each.chosen][:_ALTERNATIVES]
    return [f"Others that could be named under `outputs:` are {', '.join(others)}."] if others else []
