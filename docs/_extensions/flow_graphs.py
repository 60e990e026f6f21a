"""Sphinx directive ``flow-graph``: the Flow of a Maker, drawn from the code when built."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class FlowGraph(SphinxDirective):
    """Run the content, which must leave a Flow in ``flow``, and draw it.

    The argument says in words what is drawn; it is the text for screen readers.
    """

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Draw into the folder of generated images and refer to it."""
        from mofonon.report.flow_graph import plot_flow

        code = "\n".join(self.content)
        names: dict[str, Any] = {}
        exec(compile(code, self.get_source_info()[0], "exec"), names)  # noqa: S102 - our pages
        folder = Path(self.env.srcdir) / "_build" / "flows"
        folder.mkdir(parents=True, exist_ok=True)
        image = folder / f"{hashlib.sha256(code.encode()).hexdigest()[:16]}.svg"
        plot_flow(names["flow"]).savefig(image, metadata={"Date": None})
        uri = f"/{image.relative_to(self.env.srcdir)}"
        figure = nodes.figure("", nodes.image(uri=uri, alt=self.arguments[0]))
        figure += nodes.caption(text=self.arguments[0])
        return [figure]


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("flow-graph", FlowGraph)
    return {"parallel_read_safe": True}
