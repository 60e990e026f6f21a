"""HTML from text that is never trusted: everything is escaped unless it is Html."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def escape(value: object) -> Html:
    """Escape anything but Html; None becomes a dash."""
    if isinstance(value, Html):
        return value
    return Html("\u2013" if value is None else html.escape(str(value)))


def join(parts: Iterable[object], separator: str = "") -> Html:
    """Join pieces, escaped."""
    return Html(separator.join(escape(part) for part in parts))


def tag(name: str, content: object, **attributes: object) -> Html:
    """Wrap content in an element; ``class_`` is class, underscores are hyphens."""
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{pairs}>{escape(content)}</{name}>")


def formula(text: str | None) -> Html:
    """Set the numbers of a chemical formula as indices."""
    pieces = re.split(r"(?<=[A-Za-z)\]])(\d+(?:\.\d+)?)", text or "")
    return join(
        tag("sub", piece) if index % 2 else escape(piece) for index, piece in enumerate(pieces)
    )


def fixed(value: float, digits: int) -> str:
    """Format with so many decimals, without a negative zero."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def scientific(value: float, digits: int = 1) -> str:
    """Format in scientific notation, zero as 0."""
    return "0" if value == 0 else f"{value:.{digits}e}"


def table(
    caption: object,
    header: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    numeric: bool = True,
    class_: str | None = None,
) -> Html:
    """Make a table in a container of its own that scrolls and takes the focus.

    Parameters
    ----------
    caption : object
        What the table shows.
    header : sequence
        Column headers, with units.
    rows : iterable of sequences
        Cells; the first of each row is its header.
    numeric : bool
        Align the cells at the right.
    class_ : str, optional
        Class of the container.
    """
    head = join(tag("th", cell, scope="col") for cell in header)
    body = join(
        tag("tr", join((tag("th", row[0], scope="row"), *(tag("td", c) for c in row[1:]))))
        for row in rows
    )
    inner = Html(
        f"<caption><span>{escape(caption)}</span></caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody>"
    )
    return _scrolling(
        tag("table", inner, class_="numbers" if numeric else None), caption, class_
    )


def facts(caption: object, pairs: Iterable[tuple[str, object]]) -> Html:
    """Make a table of names and values; pairs without a value are left out."""
    body = join(
        tag("tr", join((tag("th", name, scope="row"), tag("td", value))))
        for name, value in pairs
        if value is not None
    )
    inner = Html(f"<caption><span>{escape(caption)}</span></caption><tbody>{body}</tbody>")
    return _scrolling(tag("table", inner, class_="facts"), caption, None)


def _scrolling(content: Html, caption: object, class_: str | None) -> Html:
    label = html.unescape(re.sub(r"<[^>]*>", "", escape(caption)))
    return tag(
        "div",
        content,
        class_=f"scroll {class_ or ''}".strip(),
        role="region",
        aria_label=label,
        tabindex=0,
    )
