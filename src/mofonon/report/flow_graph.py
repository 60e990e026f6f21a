"""A Flow drawn as its jobs and what they wait for, by layer of dependence."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import networkx as nx
from jobflow import Flow

from mofonon.report.palette import BANDS, TOTAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

_LAYER_WIDTH = 2.6  # inches
_ROW_HEIGHT = 0.72
_NAME_LENGTH = 24
_MOST_IN_A_LAYER = 8

Place = tuple[float, float]


def plot_flow(flow: Flow) -> Figure:
    """Draw the jobs of a flow from left to right, each right of all that it waits for.

    Of a layer with many jobs (the volumes of a QHA, the structures of a campaign) the first
    are drawn and the others counted.

    Parameters
    ----------
    flow : Flow
        The flow; jobs that it adds while it runs are not known yet and not drawn.

    Returns
    -------
    Figure
        Not registered with pyplot; save it with ``savefig``.
    """
    from matplotlib.figure import Figure

    layers = job_layers(flow)
    tallest = max(min(len(layer), _MOST_IN_A_LAYER + 1) for layer in layers)
    size = (_LAYER_WIDTH * len(layers), _ROW_HEIGHT * tallest + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_xlim(-0.5, len(layers) - 0.5)
    axes.set_ylim(-tallest / 2, tallest / 2)
    # jobflow labels a job of another flow of the same graph 'external'
    names = {
        node: data["job"].name if "job" in data else data["label"]
        for node, data in flow.graph.nodes(data=True)
    }
    places: dict[str, Place] = {}
    for column, layer in enumerate(layers):
        shown, rest = layer[:_MOST_IN_A_LAYER], layer[_MOST_IN_A_LAYER:]
        top = (len(shown) + bool(rest) - 1) / 2
        places |= {job: (column, top - row) for row, job in enumerate(shown)}
        if rest:
            axes.text(column, top - len(shown), f"and {len(rest)} more", ha="center", size=9)
    boxes = {job: _draw_box(axes, place, str(names[job])) for job, place in places.items()}
    for before, after in flow.graph.edges:
        if before in boxes and after in boxes:
            _draw_arrow(axes, boxes[before], boxes[after])
    return figure


def job_layers(flow: Flow) -> list[list[str]]:
    """Ids of the jobs by layer: a job is one layer after the last that it waits for.

    Within a layer jobs are in the order of the flow.
    """
    order = {job: number for number, job in enumerate(flow.job_uuids)}
    return [
        sorted(layer, key=lambda job: order.get(job, len(order)))
        for layer in nx.topological_generations(flow.graph)
    ]


def _draw_box(axes: Axes, place: Place, name: str) -> Text:
    lines = textwrap.wrap(name, _NAME_LENGTH)
    if len(lines) > 2:
        lines = [lines[0], lines[1][: _NAME_LENGTH - 1] + "\u2026"]
    return axes.text(
        *place,
        "\n".join(lines),
        ha="center",
        va="center",
        size=9,
        color=TOTAL.light,
        bbox={"boxstyle": "round,pad=0.4", "facecolor": "#eef3fa", "edgecolor": BANDS.light},
    )


def _draw_arrow(axes: Axes, before: Text, after: Text) -> None:
    style = {
        "arrowstyle": "-|>",
        "color": "#8a94a3",
        "patchA": before.get_bbox_patch(),
        "patchB": after.get_bbox_patch(),
    }
    axes.annotate(
        "", xy=after.get_position(), xytext=before.get_position(), arrowprops=style, zorder=0
    )
