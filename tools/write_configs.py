"""Write configs/ anew: what ``mofonon init`` writes, with example answers."""

from pathlib import Path

from mofonon.campaign.initialize import Answers, render

CONFIGS = Path(__file__).parents[1] / "configs"


def examples() -> dict[str, str]:
    """Texts of the files of configs/ by name."""
    texts: dict[str, str] = {}
    for cluster in ("local", "slurm", "ssh"):
        answers = Answers(
            cluster=cluster,
            project=cluster,
            folder=Path("/home/me/.jfremote"),
            work_dir="/home/me/mofonon-jobs" if cluster == "local" else "/scratch/me/mofonon",
            activate="source /home/me/mofonon/.venv/bin/activate",
            mongo_host="mongo.example.org",
            username="me",
            password="CHANGE-ME",  # noqa: S106 - an example
            tls_ca="/home/me/mongo-ca.pem",
            account="project123",
        )
        for name, text in render(answers).items():
            texts[f"jobflow_remote/{name}" if name == f"{cluster}.yaml" else name] = text
    return texts


if __name__ == "__main__":
    for name, text in examples().items():
        path = CONFIGS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
