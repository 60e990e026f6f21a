"""A page of figures and tables without scripts: one HTML file that asks the network nothing."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import mofonon
from mofonon.report.markup import Html, escape, join, tag

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 160


def figure_png(figure: Figure) -> bytes:
    """PNG of a figure, the same bytes for the same figure."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI, metadata={"Software": None})
    return stream.getvalue()


def image(png: bytes, description: str) -> Html:
    """Embed a PNG, with words for those who cannot see it."""
    data = base64.b64encode(png).decode("ascii")
    return Html(
        f'<img alt="{escape(description)}" style="max-width:100%;height:auto" '
        f'src="data:image/png;base64,{data}">'
    )


def section(title: str, *content: object) -> Html:
    """Make a section with a heading."""
    return tag("section", join((tag("h2", title), *content), "\n"))


def write_static_page(
    path: Path, title: str, sections: Iterable[Html], notice: str | None = None
) -> Path:
    """Write a page to a file; its folder is made if absent. See :func:`static_page`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = static_page(title, sections, notice)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def static_page(title: str, sections: Iterable[Html], notice: str | None = None) -> str:
    """Make a page.

    Parameters
    ----------
    title : str
        Title of the page.
    sections : iterable of Html
        Its parts.
    notice : str, optional
        Set when a stand-in is behind the numbers: shown at the top.
    """
    style = (resources.files("mofonon.report") / "page.css").read_text(encoding="utf-8")
    banner = (
        tag("p", tag("strong", f"Stand-in: {notice}."), class_="banner alarm")
        if notice
        else Html("")
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:\">"
        f"<title>{escape(title)}</title><style>{style}</style></head>\n<body><main>"
        f"<h1>{escape(title)}</h1>\n{banner}\n{join(sections, chr(10))}\n"
        f"<footer><p>mofonon {escape(mofonon.__version__)}</p></footer></main></body></html>\n"
    )
