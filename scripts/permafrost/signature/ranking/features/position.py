"""Features: where a candidate stands on the ways through the graph, from what is fed to the loss."""

from collections.abc import Iterator

from permafrost.signature.ranking.anatomy import Anatomy

_MOST_LAYERS = 4


class Position:
    """Where candidates stand between inputs, layers, ends and losses."""

    def __init__(self, anatomy: Anatomy, names: list[str]):
        self._anatomy, self._survey = anatomy, anatomy.survey
        self._deepest = anatomy.deepest or 1
        self._last = max(1, len(names) - 1)
        self._places = {name: place for place, name in enumerate(names)}
        first_gradient = min((anatomy.position[name] for name in anatomy.learning), default=len(anatomy.ops))
        losses = [anatomy.position[name] for name in _derived(anatomy)]
        self._first_gradient, self._first_loss = first_gradient, min(losses, default=first_gradient)

    def of(self, name: str) -> Iterator[tuple[str, float | bool]]:
        """(feature, value) for each that may hold of a candidate."""
        survey, anatomy = self._survey, self._anatomy
        yield "is a weight itself", name in survey.variables
        yield "could be fetched", name in survey.reachable
        yield "is no tail of a loss", name in survey.live
        yield "a loss compares it with labels", name in survey.compared
        yield "only losses and metrics come after", name in survey.tail
        yield "is part of a loss", name in survey.losses
        yield "depends on a label", name in survey.labelled
        yield "is a single number", name in survey.reduced and name not in survey.joins
        yield "depends on random numbers", name in survey.random
        yield "is a layer", name in survey.joins
        yield "is the result of a layer", name in survey.weighted and survey.results.has(name)
        yield "is on the gradient's way", name in survey.trained
        yield "is off the gradient's way", bool(survey.trained) and name not in survey.trained
        yield "depends on what is fed", bool(anatomy.feed_bits.get(name))
        yield "is made of weights alone", name in survey.parameters
        yield from self._of_ends(name)
        yield from self._of_layers(name)
        yield "how late it was made", self._places[name] / self._last
        yield "made before the loss", anatomy.position[name] < self._first_loss
        yield "made after the gradients", anatomy.position[name] > self._first_gradient

    def _of_ends(self, name: str) -> Iterator[tuple[str, float | bool]]:
        survey, anatomy = self._survey, self._anatomy
        takers, is_weight = anatomy.taken_by(name), name in survey.variables
        yield "end of the forward graph", not takers and not is_weight
        yield "nothing takes it", not anatomy.index.consumers.get(name) and not is_weight
        closed = all(taker in survey.closing and taker not in survey.live for taker in takers)
        yield "only losses and metrics take it", bool(takers) and closed
        steps = anatomy.steps_to_end.get(name, 0)
        yield "the end is here", steps == 0
        yield "the end is a step away", steps == 1
        yield "the end is two steps away", steps == 2
        yield "the end is further away", steps > 2
        yield "a label meets it next", any(taker in survey.labelled or taker in survey.losses for taker in takers)
        soon = anatomy.takers_of_value(name)
        yield "a label meets it soon", any(taker in survey.labelled or taker in survey.losses for taker in soon)
        yield "takers", min(len(takers), 5) / 5
        yield "one takes it", len(takers) == 1

    def _of_layers(self, name: str) -> Iterator[tuple[str, float | bool]]:
        before, after = self._anatomy.layers.get(name, 0), self._anatomy.layers_after.get(name, 0)
        yield "layers before it, of the most", before / self._deepest
        yield "behind the deepest layer", before == self._deepest
        yield "behind half of the layers", before > self._deepest / 2
        yield "no layer comes after", after == 0
        yield "no layer comes after, and one before", after == 0 and before > 0
        yield "no layer comes after, but after the layer before", after == 0 and name in self._anatomy.goes_on
        yield "layers after it", min(after, _MOST_LAYERS) / _MOST_LAYERS


def _derived(anatomy: Anatomy) -> set[str]:
    """The losses that gradients were taken of: what is on a gradient's way and leads to nothing else that is."""
    trained, consumers = anatomy.survey.trained, anatomy.index.consumers
    return {
        name
        for name in trained
        if name in anatomy.ops and not any(taker in trained for taker in consumers.get(name, ()))
    }
