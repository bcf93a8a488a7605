"""What the page says of a model's card: what its panel does not say elsewhere."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from permafrost.model import About, Model
from permafrost.records import is_known
from permafrost.report.cards import describing, endpoints, writing
from permafrost.report.cards.card import Snippet
from permafrost.report.page.details import Hide, without


class Shown(Struct):
    """The part of a card that the panel shows; in `use`, pairs of backticks mark code.

    chosen: how the outputs were chosen, and how sure that is; the panel has the reasons beside the outputs.
    use, programs: how the model is run, "" and none where it was not verified, which the panel says by itself.
    has_example: whether example.npz was written.
    """

    about: About
    chosen: str
    use: str
    programs: list[Snippet]
    has_example: bool


def of_models(models: list[Model], frozen: str, reports: str, hide: Hide) -> Callable[[str], dict[str, Any]]:
    """A function that gives {"card": a Shown as a JSON-able dict} for a model's id, {} where it has no card.

    Args:
      models: as the last discovery found them.
      frozen, reports: the directories of provenance.json, and of the other records of the models.
      hide: shortens the paths in a text, as hidden_paths.hider makes it.
    """
    by_id = {model.id: model for model in models}

    def of_model(model: str) -> dict[str, Any]:
        found = writing.read(by_id[model], frozen, reports) if model in by_id else None
        return {"card": without(hide, msgspec.to_builtins(shown(found)))} if found else {}

    return of_model


def shown(found: describing.Known) -> Shown:
    """What the panel shows of what a card is made of."""
    use = describing.use(found)
    return Shown(
        about=found.about,
        chosen=f"{endpoints.chosen(found.imported)}.",
        use=" ".join(use.text) if use.snippets else "",
        programs=use.snippets,
        has_example=is_known(found.verified.example),
    )
