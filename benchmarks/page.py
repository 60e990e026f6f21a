"""Write docs/benchmarks.md from the results on disk (``make bench-page``)."""

import json

from common import RESULTS, ROOT, table

#: In the order of the page.
ORDER = (
    "relaxation_demo",
    "relaxation_demo-cnohzn",
    "relaxation_chgnet",
    "minima",
    "volumes",
    "phonons",
    "phonons_medium",
    "qha",
    "evaluation_cost",
    "displacement_error",
    "scaling",
    "page_load",
    "campaign_scale",
    "fine_tuning",
)

HEAD = """# Benchmarks

`make bench` measures everything below on the machine it runs on (hours on two cores; the peers'
environments are made first) and writes this page; each script in `benchmarks/` runs alone too.
One thread. CPU seconds are those of the process, which a busy machine disturbs less than wall
seconds; ratios are of tools that took turns in one run. Potentials are stand-ins, named with
each table: real foundation weights and a GPU were not at hand.
"""


def main() -> None:
    """Collect and write."""
    parts = [HEAD]
    found = [name for name in ORDER if (RESULTS / f"{name}.json").exists()]
    for name in found:
        content = json.loads((RESULTS / f"{name}.json").read_text())
        about = content["machine"]
        several = name.startswith(("relaxation_", "phonons_"))
        script = f"{name.split('_')[0] if several else name}.py"
        packages = ", ".join(f"{key} {value}" for key, value in about["versions"].items())
        parts.append(
            f"## {content['title']}\n\n"
            f"{about['date']}, {about['processor']}, {about['cores']} cores, "
            f"{about['memory_gb']} GB, load {about['load']} at the end; Python "
            f"{about['python']}, {packages}. `python benchmarks/{script}`\n"
        )
        parts += [
            f"{heading}\n\n{table(rows)}\n" for heading, rows in content["tables"].items()
        ]
        parts.append("\n".join(content["notes"]) + "\n")
    (ROOT / "docs" / "benchmarks.md").write_text("\n".join(parts))
    print(f"docs/benchmarks.md: {', '.join(found)}")


if __name__ == "__main__":
    main()
