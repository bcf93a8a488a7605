"""What a card says, in no markup: the types that are written as Markdown, and that the page shows as it likes."""

from msgspec import Struct


class Table(Struct):
    """Rows of texts under a header."""

    columns: list[str]
    rows: list[list[str]]


class Snippet(Struct):
    """A program that runs in the directory of the frozen graph; what: that it uses."""

    what: str
    language: str
    code: str


class Section(Struct, kw_only=True):
    """A part of a card. text: paragraphs. table: None where there is none. snippets: programs."""

    title: str
    text: list[str] = []
    table: Table | None = None
    snippets: list[Snippet] = []


class Card(Struct, kw_only=True):
    """The card of a model. title: what its owner calls it, or its id. notes: Markdown of the owner's, as it is."""

    model: str
    title: str
    status: str
    notes: str
    sections: list[Section]
