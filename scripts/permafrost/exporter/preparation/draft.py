"""A graph on its way to a converter: what each pass takes and changes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from permafrost.export_records import Signature
from permafrost.exporter.preparation.parts import Definitions, Part, Unclear, of_function, to_function
from permafrost.graph.calls import called_functions, needed_functions
from permafrost.graph.protos import FunctionDef, GraphDef, NodeDef


@dataclass
class Draft:
    """What a pass takes and changes.

    graph_def: the whole graph, whose functions are those that no pass can look into. main: its nodes. functions: the
    bodies of the others, by name. weights: Const node -> value, which the graph lacks. signature: as in Prepared, so
    far. bake: tensor of an input -> the value that it always has. definitions: as in parts. acts: tells whether a node
    does something beside what it gives. counts: kind of change -> how often it was made; some are sentences.
    """

    graph_def: GraphDef
    main: Part
    functions: dict[str, Part]
    weights: dict[str, NDArray[Any]]
    signature: Signature
    initializers: list[str]
    bake: dict[str, NDArray[Any]]
    definitions: Definitions
    acts: Callable[[Any], bool]
    baked: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def parts(self) -> list[Part]:
        """The graph, then the bodies of the functions."""
        return [self.main, *self.functions.values()]

    def count(self, change: str, times: int = 1) -> None:
        """Notes that a change was made."""
        if times:
            self.counts[change] = self.counts.get(change, 0) + times

    def new_name(self, name: str) -> str:
        """A name like `name` that no function has."""
        taken = {*self.functions, *(function.signature.name for function in self.graph_def.library.function)}
        number = 0
        while (candidate := f"{name}_{number}") in taken:
            number += 1
        return candidate

    def called(self) -> dict[str, list[NodeDef]]:
        """Function -> the nodes of the graph, and of functions, that may call it."""
        found: dict[str, list[NodeDef]] = {}
        for nodes in (*(part.graph_def.node for part in self.parts), *self._opaque()):
            for node in nodes:
                for name in dict.fromkeys(called_functions(node)):
                    found.setdefault(name, []).append(node)
        return found

    def _opaque(self) -> list[Any]:
        return [function.node_def for function in self.graph_def.library.function]

    def open_functions(self) -> None:
        """Takes the functions that the graph needs out of its library, those that can be written as graphs."""
        opaque: list[FunctionDef] = []
        for function in needed_functions(self.graph_def.node, self.graph_def.library):
            try:
                self.functions[function.signature.name] = of_function(function, self.definitions)
            except Unclear:
                opaque.append(function)
        self._set_library(opaque)

    def close_functions(self) -> None:
        """Puts the functions back into the library, those that are still called."""
        bodies = [to_function(part, self.definitions) for part in self.functions.values()]
        self._set_library([*bodies, *self.graph_def.library.function])
        needed = needed_functions(self.graph_def.node, self.graph_def.library)
        self._set_library(needed)

    def _set_library(self, functions: list[FunctionDef]) -> None:
        library = type(self.graph_def.library)(function=functions)
        self.graph_def.library.CopyFrom(library)
