"""A card as Markdown."""

import re

from permafrost.report.cards.card import Card, Section, Snippet, Table
from permafrost.report.markdown import escaped, paragraph


def text(card: Card) -> str:
    """The whole card; it ends in a line end."""
    blocks = [f"# {escaped(card.title)}"]
    blocks += [f"{escaped(card.model)}: **{escaped(card.status)}**"]
    blocks += [card.notes.strip()] if card.notes.strip() else []
    for section in card.sections:
        blocks += _section(section)
    return "\n\n".join(blocks) + "\n"


def _section(section: Section) -> list[str]:
    blocks = [f"## {section.title}", *(paragraph(said) for said in section.text)]
    blocks += [table(section.table)] if section.table is not None else []
    for snippet in section.snippets:
        blocks += [f"### With {escaped(snippet.what)}" if len(section.snippets) > 1 else "", _code(snippet)]
    return [block for block in blocks if block]


def table(found: Table) -> str:
    """A table, with a line for each row."""
    lines = [found.columns, ["---"] * len(found.columns), *([escaped(cell) for cell in row] for row in found.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(snippet: Snippet) -> str:
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", snippet.code)), 3)
    return f"{fence}{snippet.language}\n{snippet.code.rstrip()}\n{fence}"
