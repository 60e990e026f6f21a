"""Figures: axes, units, jumps of the path, imaginary modes, notices."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import LineCollection

from mofonon.report import plot_bands_and_dos, plot_thermal, write_figures
from mofonon.report.curves import (
    PER_CM,
    Density,
    bands_of,
    density_of,
    frequency_range,
    low_windows,
)
from mofonon.report.palette import _COLOURS, element_colours


def texts_of(figure) -> str:
    figure.canvas.draw()
    words = [figure.get_suptitle(), figure.get_supxlabel()]
    for axes in figure.axes:
        words += [text.get_text() for text in axes.texts]
    return "\n".join(words)


def test_bands_and_density_have_names_and_units(stable):
    figure = plot_bands_and_dos(stable)
    figure.canvas.draw()
    left, right = figure.axes
    assert left.get_ylabel() == "Frequency (THz)"
    assert right.get_xlabel() == "DOS (states/THz/cell)"
    labels = [label.get_text() for label in left.get_xticklabels()]
    assert labels == ["Γ", "X", "M", "Γ", "Z", "R", "A", "Z|X", "R|M", "A"]
    wavenumbers = right.child_axes[0]
    assert "cm" in wavenumbers.get_ylabel()
    np.testing.assert_allclose(wavenumbers.get_ylim(), np.array(left.get_ylim()) * PER_CM)
    assert [t.get_text() for t in right.get_legend().get_texts()] == ["Cu", "Au", "total"]
    assert "CuAu, P4/mmm, EMT of Jacobsen" in texts_of(figure)


def test_bands_are_drawn_segment_by_segment(stable):
    left = plot_bands_and_dos(stable).axes[0]
    collections = [c for c in left.collections if isinstance(c, LineCollection)]
    assert len(collections) == len(stable.band_segment_lengths)
    drawn = [len(path.vertices) for c in collections for path in c.get_paths()]
    assert drawn == [n for n in stable.band_segment_lengths for _ in range(6)]


def test_imaginary_modes_are_marked_only_where_there_are_any(stable, unstable):
    assert "imaginary" not in texts_of(plot_bands_and_dos(stable))
    assert frequency_range(stable)[0] == 0
    figure = plot_bands_and_dos(unstable)
    assert "imaginary, shown negative" in texts_of(figure)
    bottom = figure.axes[0].get_ylim()[0]
    assert bottom < unstable.min_frequency
    for axes in figure.axes:
        shaded = axes.patches[0].get_window_extent().transformed(axes.transData.inverted())
        np.testing.assert_allclose((shaded.y0, shaded.y1), (bottom, 0), atol=1e-9)


def test_thermal_axes(stable):
    left, right = plot_thermal(stable).axes
    assert left.get_ylabel() == "Free energy $F$ (kJ/mol)"
    assert right.get_ylabel() == "$S$, $C_V$ (J/K/mol)"
    assert left.get_xlabel() == right.get_xlabel() == "Temperature (K)"
    np.testing.assert_allclose(left.lines[0].get_ydata(), stable.thermal.free_energies)
    capacity, limit = right.lines[1].get_ydata(), right.lines[2].get_ydata()
    np.testing.assert_allclose(capacity, stable.thermal.heat_capacities)
    assert 0.95 < capacity[-1] / limit[0] < 1


@pytest.mark.parametrize("plot", [plot_bands_and_dos, plot_thermal])
def test_a_stand_in_is_named_in_every_figure(plot, stable, stand_in):
    assert stand_in.notice in texts_of(plot(stand_in))
    assert stand_in.notice not in texts_of(plot(stable))


def test_modes_left_out_are_named_with_thermal_properties(stable, unstable):
    assert "not the thermal properties of a stable structure" in texts_of(
        plot_thermal(unstable)
    )
    assert "stable structure" not in texts_of(plot_thermal(stable))


def test_files_and_no_global_state(stable, tmp_path):
    before = dict(mpl.rcParams)
    paths = write_figures(stable, tmp_path / "new", "CuAu", formats=("png", "svg"))
    assert dict(mpl.rcParams) == before
    assert [path.name for path in paths] == [
        "CuAu-bands-dos.png",
        "CuAu-bands-dos.svg",
        "CuAu-thermal.png",
        "CuAu-thermal.svg",
    ]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert all(path.stat().st_size > 5000 for path in paths)


def test_a_wide_spectrum_gets_a_figure_of_its_low_frequencies(stable, tmp_path):
    wide = stable.model_copy(update={"max_frequency": 95.0})
    assert low_windows(wide) == [5, 20]
    names = [path.name for path in write_figures(wide, tmp_path, "wide")]
    assert "wide-bands-dos-low.png" in names
    assert low_windows(stable) == []


def test_labels_cannot_break_mathematics(stable, tmp_path):
    labels = [("H_2", "a$b_{"), *stable.band_labels[1:]]
    doc = stable.model_copy(update={"formula_pretty": "$x_{", "band_labels": labels})
    assert write_figures(doc, tmp_path, "odd")


def test_averaging_keeps_the_number_of_states():
    x = np.arange(0, 100, 0.01)
    peak = np.exp(-(((x - 50) / 0.02) ** 2))
    density, width = Density(x, peak, {"H": peak / 2}).within((0, 100))
    assert width == pytest.approx(0.25)
    assert density.total.sum() * width == pytest.approx(peak.sum() * 0.01, rel=1e-6)
    np.testing.assert_allclose(density.by_element["H"], density.total / 2)
    narrow, width = Density(x, peak, {}).within((49, 51))
    assert width == 0
    assert narrow.total.max() == peak.max()


def test_projections_add_up_and_points_are_named(stable, unstable):
    dos = density_of(stable)
    np.testing.assert_allclose(sum(dos.by_element.values()), dos.total, atol=1e-9)
    bands = bands_of(unstable)
    assert bands.name_of((0.0, 0.0, 0.0)) == "Γ"
    assert bands.name_of((1.5, -0.5, 0.5)) == "R"
    assert bands.name_of((0.123, 0.0, 0.0)) is None


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("name", sorted(_COLOURS))
def test_colours_stand_out(name):
    colour = _COLOURS[name]
    assert (luminance("#ffffff") + 0.05) / (luminance(colour.light) + 0.05) >= 3
    assert (luminance(colour.dark) + 0.05) / (luminance("#14171c") + 0.05) >= 3


def test_each_element_has_a_colour_of_its_own():
    mof = element_colours(["Zn", "O", "C", "H"])
    assert len(set(mof.values())) == 4
    assert mof["O"] == element_colours(["Mg", "O"])["O"]
    assert len(set(element_colours(["Zr", "Hf", "O", "C", "H", "N", "Cl"]).values())) == 7
    assert list(element_colours(["O", "Mg"])) == ["O", "Mg"]
    many = ["H", "C", "N", "O", "F", "Na", "Mg", "Al", "Si", "P", "S", "Cl"]
    assert set(element_colours(many)) == set(many)
