"""The packages that exports need beside those of a run; `make exports` installs them."""

import platform
from importlib import metadata, util

from permafrost.outcome import Problem

# Format -> module -> its distribution.
NEEDED = {
    "saved_model": {},
    "onnx": {"tf2onnx": "tf2onnx", "onnx": "onnx", "onnxruntime": "onnxruntime"},
    "tflite": {"ai_edge_litert": "ai-edge-litert"},
}
_INSTALL = "run `make exports`, which installs all that exports need"


def refuse_missing(export: str) -> None:
    """Raises Problem (missing_package) where packages are not installed that exports to this format need."""
    missing = [package for module, package in NEEDED[export].items() if util.find_spec(module) is None]
    if missing:
        told = f"to export {export}, what is not installed is needed: {', '.join(missing)}"
        raise Problem("missing_package", told, _INSTALL)


def versions(export: str) -> dict[str, str]:
    """The versions of what exports to a format and judges that, by name; those that are installed."""
    found = {"python": platform.python_version()}
    for package in ("tensorflow", "tensorflow-cpu", "protobuf", *NEEDED[export].values()):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
