"""Pages that ask for nothing from outside: a template, one style sheet for all, figures as `data:` addresses."""

from __future__ import annotations

import base64
from importlib import resources
from typing import Any

import jinja2
import markupsafe

from .plots import Plot


def render_page(template: str, *, package: str = __package__, **values: Any) -> str:
    """Return the page of a template. Everything that comes from data is escaped by the template engine.

    Args:
        template: name of the file; it may import others of its folder.
        package: where it lies.
        values: what the template asks for; `style` is given.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: text_of(package, name)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["svg_address"] = _svg_address
    page = environment.get_template(template).render(
        style=markupsafe.Markup(text_of(__package__, "page.css")), **values
    )
    return page.lstrip()


def text_of(package: str, name: str) -> str:
    """Return the text of a file that comes with a package."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def _svg_address(plot: Plot) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(plot.svg).decode("ascii")
