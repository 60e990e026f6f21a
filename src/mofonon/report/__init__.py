"""Reports: figures, data files and a page from phonon documents.

matplotlib and plotly are imported when something is drawn, not before.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mofonon.report.figures import plot_bands_and_dos, plot_thermal, write_figures
    from mofonon.report.page import write_page
    from mofonon.report.tables import write_data
    from mofonon.report.write import write_report

__all__ = [
    "plot_bands_and_dos",
    "plot_thermal",
    "write_data",
    "write_figures",
    "write_page",
    "write_report",
]

_HOMES = {
    "plot_bands_and_dos": "figures",
    "plot_thermal": "figures",
    "write_data": "tables",
    "write_figures": "figures",
    "write_page": "page",
    "write_report": "write",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are used: the command starts fast."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"mofonon.report.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
