"""The page of a MOF: its phonons by each potential, then bulk modulus and expansion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mofonon.errors import SettingsError
from mofonon.lattice.bulk_modulus_schemas import BulkModulusDoc
from mofonon.lattice.qha_schemas import QhaDoc
from mofonon.lattice.schemas import PhononDoc
from mofonon.report.energy_volume import plot_energy_volume
from mofonon.report.markup import Html, facts, fixed, join, tag
from mofonon.report.page import make_entries, render
from mofonon.report.quasi_harmonic import plot_expansion, plot_free_energies
from mofonon.report.static_page import figure_png, image, section, static_page

if TYPE_CHECKING:
    from pydantic import BaseModel

#: Kinds of documents that a page of a MOF shows, by class name.
SHOWN: dict[str, type[BaseModel]] = {
    "PhononDoc": PhononDoc,
    "BulkModulusDoc": BulkModulusDoc,
    "QhaDoc": QhaDoc,
}


def render_mof(documents: Sequence[dict[str, Any]], name: str) -> str:
    """Make the page of a structure as one HTML text that asks the network for nothing.

    Parameters
    ----------
    documents : sequence of dict
        PhononDoc, BulkModulusDoc, QhaDoc, as the store gives them with their arrays and
        ``document_id``; other kinds are passed over.
    name : str
        Name of the structure.

    Raises
    ------
    SettingsError
        None of them is of a kind that can be shown.
    """
    shown = [
        (SHOWN[document["@class"]].model_validate(document), str(document["document_id"]))
        for document in documents
        if document.get("@class") in SHOWN
    ]
    if not shown:
        raise SettingsError(
            f"there is nothing to show of {name}",
            "name phonon, bulk-modulus or qha documents (mofonon query)",
        )
    extra = [_section(doc, identity) for doc, identity in shown]
    sections = [each for each in extra if each]
    phonons = [(doc, identity) for doc, identity in shown if isinstance(doc, PhononDoc)]
    if not phonons:
        notices = {doc.notice for doc, _ in shown if isinstance(doc, BulkModulusDoc | QhaDoc)}
        return static_page(name, sections, next((n for n in notices if n), None))
    docs, identities = zip(*phonons, strict=True)
    entries = make_entries(list(docs), list(identities), [name] * len(docs))
    return render(entries, name, sections)


def _section(doc: BaseModel, identity: str) -> Html:
    """Section of a bulk modulus or an expansion; nothing for phonons."""
    if isinstance(doc, BulkModulusDoc):
        return _bulk_modulus(doc, identity)
    if isinstance(doc, QhaDoc):
        return _expansion(doc, identity)
    return Html("")


def _bulk_modulus(doc: BulkModulusDoc, identity: str) -> Html:
    stress = doc.bulk_modulus_from_stress
    numbers = facts(
        "Bulk modulus",
        [
            ("Bulk modulus", f"{doc.bulk_modulus:.3f} GPa"),
            ("Its pressure derivative", fixed(doc.bulk_modulus_derivative, 3)),
            ("From the stresses", None if stress is None else f"{stress:.3f} GPa"),
            ("Equilibrium volume", f"{doc.equilibrium_volume:.3f} \u00c5\u00b3"),
            ("Residual of the fit", f"{doc.residual:.4f} meV/atom"),
            ("Potential", doc.potential.label),
            ("Document", tag("code", identity)),
        ],
    )
    words = (
        f"Energies over volume and equations of state, bulk modulus {doc.bulk_modulus:.2f} GPa"
    )
    return section(
        f"Bulk modulus, {doc.potential.label}",
        *_banners(doc.notice, doc.warnings),
        numbers,
        tag("figure", image(figure_png(plot_energy_volume(doc)), words)),
    )


def _expansion(doc: QhaDoc, identity: str) -> Html:
    numbers = facts(
        "Thermal expansion in the quasi-harmonic approximation",
        [
            ("Linear, at 300 K", _value(doc.cte_linear_300K, 3, "1e-6/K")),
            ("Volumetric, at 300 K", _value(doc.cte_volumetric_300K, 3, "1e-6/K")),
            ("Bulk modulus at 300 K", _value(doc.bulk_modulus_300K, 3, "GPa")),
            ("Volume at 300 K", _value(doc.volume_300K, 3, "\u00c5\u00b3")),
            ("Gr\u00fcneisen parameter at 300 K", _value(doc.gruneisen_300K, 3, "")),
            ("Volumes used", doc.n_volumes_used),
            ("Potential", doc.potential.label),
            ("Document", tag("code", identity)),
        ],
    )
    words = "Volume, expansion, bulk modulus and heat capacity over temperature"
    return section(
        f"Thermal expansion, {doc.potential.label}",
        *_banners(doc.notice, doc.warnings),
        numbers,
        tag("figure", image(figure_png(plot_expansion(doc)), words)),
        tag("figure", image(figure_png(plot_free_energies(doc)), "Free energies over volume")),
    )


def _value(value: float | None, digits: int, unit: str) -> str | None:
    return None if value is None else f"{fixed(value, digits)} {unit}".rstrip()


def _banners(notice: str | None, warnings: Sequence[str]) -> list[Html]:
    found = []
    if notice:
        found.append(tag("p", tag("strong", f"Stand-in: {notice}."), class_="banner alarm"))
    if warnings:
        items = join(tag("li", text) for text in warnings)
        words = join((tag("strong", "What to know"), tag("ul", items)))
        found.append(tag("div", words, class_="banner", role="note"))
    return found
