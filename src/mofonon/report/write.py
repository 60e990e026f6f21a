"""A report: the page, and figures and data files beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mofonon.errors import SettingsError
from mofonon.lattice.schemas import PhononDoc


def write_report(
    docs: Sequence[PhononDoc],
    folder: Path,
    document_ids: Sequence[str] | None = None,
    *,
    names: Sequence[str] | None = None,
    title: str | None = None,
    formats: Sequence[str] = ("png",),
) -> Path:
    """Write ``page.html``, ``figures/`` and ``data/`` for one or several structures.

    Parameters
    ----------
    docs : sequence of PhononDoc
        The documents, with their arrays.
    folder : Path
        Made if absent; files of the same names are replaced.
    document_ids : sequence of str, optional
        Ids in the store, shown with each structure.
    names : sequence of str, optional
        Names of the structures, such as MOF-5; their formulas if left out.
    title : str, optional
        Title of the page.
    formats : sequence of str
        Formats of the figures: png, svg, pdf.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    SettingsError
        When there are no documents, or not as many names or ids.
    """
    from mofonon.report.figures import write_figures
    from mofonon.report.page import write_page
    from mofonon.report.tables import write_data

    page = write_page(
        docs, folder / "page.html", document_ids=document_ids, title=title, names=names
    )
    for doc, stem in zip(docs, file_stems(docs, names), strict=True):
        write_figures(doc, folder / "figures", stem, formats)
        write_data(doc, folder / "data", stem)
    return page


def file_stems(docs: Sequence[PhononDoc], names: Sequence[str] | None = None) -> list[str]:
    """Beginnings of file names, one for each document, as :func:`unique_stems`."""
    wanted = names if names is not None else [doc.formula_pretty or "" for doc in docs]
    if len(wanted) != len(docs):
        raise SettingsError(
            f"there are {len(docs)} documents but {len(wanted)} names",
            "give one name for each document, or none",
        )
    return unique_stems(wanted)


def unique_stems(wanted: Sequence[str]) -> list[str]:
    """Make names fit for files, no two alike.

    Letters, digits, and ``. _ + -`` are kept; two that differ only in case count as alike.
    """
    taken: set[str] = set()
    stems = []
    for name in wanted:
        base = re.sub(r"[^A-Za-z0-9._+-]+", "-", name)[:80].strip("-.") or "structure"
        stem, number = base, 2
        while stem.lower() in taken:
            stem, number = f"{base}-{number}", number + 1
        taken.add(stem.lower())
        stems.append(stem)
    return stems
