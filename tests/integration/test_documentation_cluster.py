"""The shell blocks of the page on clusters, on a real SLURM and MongoDB."""

import pytest
import yaml

from integration.test_documentation_commands import shell_blocks
from support.cluster import PASSWORD, require_cluster, running_cluster
from support.pages import Reader

pytestmark = [pytest.mark.slurm, pytest.mark.mongo, pytest.mark.slow]

PAGE = "docs/how-to/cluster.md"


def test_the_shell_blocks_of_the_cluster_page_run():
    """Their jobs are submitted and told about; that such jobs run is tested elsewhere."""
    require_cluster()
    with running_cluster() as cluster:
        folder = cluster.folder / "reader"
        folder.mkdir()
        launchpad = {"host": "127.0.0.1", "port": cluster.mongod.port, "name": "mofonon"}
        launchpad |= {"username": "mofonon", "password": PASSWORD, "authsource": "mofonon"}
        (folder / "my_launchpad.yaml").write_text(yaml.safe_dump(launchpad))
        with cluster.mongod.client() as client:  # what lpad reset does
            client.mofonon.fw_id_assigner.insert_one(
                {"_id": -1, "next_fw_id": 1, "next_launch_id": 1}
            )
        reader = Reader(folder, cluster.environment)
        # what init asks is answered by the defaults; the project of this cluster is there
        reader.replaced = {
            "--cluster slurm --project mofs": "--cluster slurm --project test --yes "
            "--folder asked",
            # the runner of the tests is no daemon, and that is what doctor finds
            "doctor --project mofs ": "doctor --project test || test $? -eq 1 ",
            "--project mofs\n": "--project test\n",
        }
        cluster.start_runner()
        for block in shell_blocks(PAGE):
            if "fireworks" in block:  # it has no project that names the store
                reader.environment = {
                    **cluster.environment,
                    "JOBFLOW_CONFIG_FILE": cluster.jobflow_config(),
                }
            reader.run(block + "\n")
        assert (folder / "asked" / "test.yaml").exists()
        assert len(cluster.jobs()) > 0
