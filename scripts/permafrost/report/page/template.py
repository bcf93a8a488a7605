"""The page as one file of HTML: its template with styles, script and data inside.

The browser is told to run this one script and to load nothing (a content security policy), and that texts must not be
made into HTML (trusted types); the template escapes whatever is put into it.
"""

import base64
import hashlib
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

_STYLES = ("page.css", "model.css")
_SCRIPTS = ("data.js", "address.js", "table.js", "nodes.js", "model.js", "main.js")


def render(source: Path, content: dict[str, Any]) -> str:
    """The page.

    Args:
      source: the directory of the template page.html, and of its styles and scripts.
      content: the template's variables; `plots` and `trend` hold SVGs that the plotting library has escaped.
    Raises OSError where a file of `source` cannot be read.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(source), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    script = '"use strict";\n(() => {\n' + "\n".join(_read(source, _SCRIPTS)) + "})();\n"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    plots = [{**plot, "svg": Markup(plot["svg"])} for plot in content["plots"]]
    return environment.get_template("page.html").render(
        {**content, "plots": plots, "trend": Markup(content["trend"])},
        style=Markup("\n".join(_read(source, _STYLES))),
        script=Markup(script),
        script_hash=digest,
    )


def _read(source: Path, names: tuple[str, ...]) -> list[str]:
    return [(source / name).read_text(encoding="utf-8") for name in names]
