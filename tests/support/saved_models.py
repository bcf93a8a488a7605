"""Models that are saved, frozen, and framed as SavedModels; what both sides of the export compute of them."""

from pathlib import Path

from fresh_process import in_fresh_process
from judged import saved
from permafrost.export_records import Signature
from permafrost.exporter import saved_model
from permafrost.exporter import signature as signatures
from permafrost.graph import frozen_file
from permafrost.graph.index import GraphIndex
from permafrost.judge.exports.saved_model_files import FILE
from permafrost.judge.exports.saved_models import SavedModelRuntime
from permafrost.judge.seeds import seed_random_ops
from permafrost.judge.sides import FrozenFile, FrozenSide
from permafrost.model import SignatureNames
from stages import frozen, imported


class FramedModel:
    """A model, frozen, and its SavedModel.

    record, provenance: its records. frozen: the path of its frozen graph. signature: as the exporter gives it.
    directory, path: of the SavedModel, and of the file in it.
    """

    def __init__(self, tmp_path: Path, build, names: SignatureNames | None = None, **settings):
        """Makes the model that `build` builds in the default graph, with these settings."""
        zoo = tmp_path / "zoo" / "model"
        zoo.mkdir(parents=True)
        self.record = imported(saved(build, zoo), **settings)
        self.provenance, self.frozen = frozen(self.record, tmp_path / "frozen", **settings)
        self.signature = self.signed(names or SignatureNames())
        self.directory = tmp_path / "saved_model"
        self.path = self.directory / FILE
        saved_model.write(self.frozen, self.signature, self.provenance.initializers, self.directory)

    def signed(self, names: SignatureNames) -> Signature:
        """The signature with other names."""
        return signatures.of_model(self.record, self.provenance, self.index, names)

    @property
    def index(self) -> GraphIndex:
        """Of the frozen graph."""
        return GraphIndex(frozen_file.read(str(self.frozen))[0])

    def by_frozen_graph(self, feed: dict) -> list:
        """What the frozen graph computes, as the judge runs it; fed by the signature's keys."""
        initializers = self.provenance.initializers
        return in_fresh_process(_by_frozen_graph, str(self.frozen), initializers, self.signature, feed)

    def by_saved_model(self, feed: dict, loader: str = "v1", usual: bool = False, path: Path | None = None) -> list:
        """What the SavedModel computes."""
        return in_fresh_process(_by_saved_model, path or self.path, self.signature, feed, loader, usual)


def _by_frozen_graph(path: str, initializers: list[str], signature: Signature, feed: dict) -> list:
    file = FrozenFile.read(path, set(), initializers)
    seed_random_ops(file.graph_def)
    named = {each.tensor: feed[each.key] for each in signature.inputs if each.key in feed}
    return FrozenSide(file, set()).run([each.tensor for each in (*signature.outputs, *signature.hidden)], named)


def _by_saved_model(path: Path, signature: Signature, feed: dict, loader: str, usual: bool) -> list:
    return SavedModelRuntime(path, signature, loader, usual).run(feed)
