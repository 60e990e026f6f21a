"""One colour for each element, the same in figures and on pages.

After the CPK colours of molecular models where these can be told apart by colour-blind
readers, otherwise from the palette of Okabe and Ito, with a shade for light and one for
dark backgrounds; every shade has a contrast of at least 3:1 with its background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Theme = Literal["light", "dark"]


@dataclass(frozen=True)
class Colour:
    """A colour as hex codes for light and dark backgrounds."""

    light: str
    dark: str

    def on(self, theme: Theme) -> str:
        """Hex code for a theme."""
        return self.light if theme == "light" else self.dark


_COLOURS = {
    "grey": Colour("#5c6370", "#a7afbb"),
    "vermillion": Colour("#cf4f00", "#ff8b4d"),
    "blue": Colour("#1f4fa3", "#6ea2ff"),
    "sky": Colour("#2b95d1", "#86d3ff"),
    "green": Colour("#008a64", "#2fc79b"),
    "violet": Colour("#7b52c7", "#b79bff"),
    "orange": Colour("#b37a00", "#f2b632"),
    "pink": Colour("#c0558f", "#f09ccb"),
    "olive": Colour("#857800", "#e6da62"),
    "brown": Colour("#8a4b2d", "#d39b7b"),
}

_PREFERRED = {
    "H": "sky",
    "C": "grey",
    "N": "blue",
    "O": "vermillion",
    "F": "green",
    "Na": "violet",
    "Mg": "green",
    "Al": "pink",
    "Si": "orange",
    "P": "orange",
    "S": "olive",
    "Cl": "green",
    "Fe": "brown",
    "Co": "pink",
    "Ni": "green",
    "Cu": "orange",
    "Zn": "violet",
    "Br": "brown",
    "I": "violet",
}

_OTHERS = ("violet", "pink", "green", "orange", "olive", "brown", "sky", "blue")

#: Phonon bands and total densities of states.
BANDS = Colour("#27548f", "#8fb8f0")
TOTAL = Colour("#1d222a", "#e8ebf0")
#: Free energy, entropy, heat capacity.
THERMAL = (_COLOURS["blue"], _COLOURS["vermillion"], _COLOURS["green"])
#: What is wrong: imaginary modes, stand-ins.
ALARM = Colour("#b3261e", "#ff8a80")


def element_colours(elements: Sequence[str]) -> dict[str, Colour]:
    """Choose a colour for each element of a structure, no two alike while there are ten.

    Parameters
    ----------
    elements : sequence of str
        Symbols.

    Returns
    -------
    dict
        Colours by symbol. An element keeps its colour from structure to structure unless
        another element of the structure has it.
    """
    chosen: dict[str, str] = {}
    for element in sorted(elements, key=lambda symbol: (symbol not in _PREFERRED, symbol)):
        start = sum(ord(letter) for letter in element) % len(_OTHERS)
        wishes = [_PREFERRED.get(element), *_OTHERS[start:], *_OTHERS[:start], *_COLOURS]
        names = [name for name in wishes if name is not None]
        chosen[element] = next((n for n in names if n not in chosen.values()), names[0])
    return {element: _COLOURS[chosen[element]] for element in elements}
