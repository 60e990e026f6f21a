"""The numbers behind the figures of a page, compact enough to be inlined."""

from __future__ import annotations

import base64
import html
import json
import re
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mofonon.lattice.schemas import PhononDoc
from mofonon.report.curves import (
    bands_of,
    classical_limit,
    density_of,
    frequency_range,
    notice_of,
)
from mofonon.report.palette import ALARM, BANDS, THERMAL, TOTAL, Colour, element_colours


def figure_data(doc: PhononDoc) -> str:
    """JSON of what the figures of one structure show, safe inside a script element.

    Arrays are little-endian float32 in base64: a relative error of 6e-8 in half of the
    space of decimals. The bands are listed band after band.
    """
    bands, dos = bands_of(doc), density_of(doc)
    colours = element_colours(list(dos.by_element))
    thermal = doc.thermal
    content: dict[str, Any] = {
        "range": frequency_range(doc),
        "imaginary": frequency_range(doc)[0] < 0,
        "notice": plotly_text(notice_of(doc) or ""),
        "bands": {
            "distances": encode(np.concatenate(bands.distances)),
            "frequencies": encode(np.concatenate(bands.frequencies).T),
            "segments": [len(x) for x in bands.distances],
            "ticks": [
                [round(x, 7), label_text(name), name.split("|")[0]] for x, name in bands.ticks
            ],
        },
        "dos": {
            "frequencies": encode(dos.frequencies),
            "total": encode(dos.total),
            "elements": [
                {"name": plotly_text(name), "colour": shades(colours[name]), "dos": encode(y)}
                for name, y in dos.by_element.items()
            ],
        },
        "thermal": {
            "temperatures": rounded(thermal.temperatures),
            "free": rounded(thermal.free_energies),
            "entropy": rounded(thermal.entropies),
            "capacity": rounded(thermal.heat_capacities),
            "limit": round(classical_limit(doc), 4),
        },
        "colours": {
            "bands": shades(BANDS),
            "total": shades(TOTAL),
            "alarm": shades(ALARM),
            "thermal": [shades(colour) for colour in THERMAL],
        },
    }
    return script_safe(json.dumps(content, ensure_ascii=True, separators=(",", ":")))


def encode(values: ArrayLike) -> str:
    """Base64 of little-endian float32 in C order."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode("ascii")


def rounded(values: list[float]) -> list[float | None]:
    """Four decimals; None for what JSON cannot say."""
    return [round(value, 4) if np.isfinite(value) else None for value in values]


def shades(colour: Colour) -> list[str]:
    """Light and dark shade, in this order."""
    return [colour.light, colour.dark]


def script_safe(text: str) -> str:
    """Keep JSON from ending the script element that holds it."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def plotly_text(text: str) -> str:
    """Escape text for plotly, which reads a little HTML."""
    return html.escape(text, quote=False)


def label_text(label: str) -> str:
    """Name of a point of the path for plotly, ``X_1`` with an index."""
    return re.sub(r"_(\w+)", r"<sub>\1</sub>", plotly_text(label))
