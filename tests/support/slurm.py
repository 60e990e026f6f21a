"""A real SLURM on this machine for tests: munged, slurmctld and slurmd as child processes.

Two partitions on one node, said to have four cores: ``cpu``, and ``gpu`` with two devices that
are /dev/null by another name.
"""

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_CONF = """\
ClusterName=mofonon
SlurmctldHost=localhost(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ctld_port}
SlurmdPort={d_port}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
ReturnToService=2
KillWait=2
MinJobAge=60
GresTypes=gpu
NodeName=localhost NodeHostname={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=20000 \\
  Gres=gpu:fake:2
PartitionName=cpu Nodes=localhost Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=localhost MaxTime=INFINITE State=UP
"""


def slurm_is_installed() -> bool:
    """Whether the programs are there."""
    return all(shutil.which(name, path=_path()) for name in ("munged", "slurmctld", "slurmd"))


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


@dataclass
class Slurm:
    """A running SLURM."""

    folder: Path
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What sbatch and its like need."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": _path()}

    def call(self, *command: str) -> str:
        """Run sinfo, squeue, scancel, ...; give what it prints."""
        done = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command}: {done.stderr}")
        return done.stdout

    def start(self, name: str, *command: str) -> None:
        """Start a daemon in the foreground, as a child."""
        with (self.folder / f"{name}.out").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def stop(self, name: str, *, kill: bool = False) -> None:
        """Stop a daemon."""
        process = self.processes.pop(name)
        (process.kill if kill else process.terminate)()
        process.wait(20)

    def start_slurmctld(self, *, clean: bool = False) -> None:
        """Start slurmctld; clean forgets all jobs."""
        conf = str(self.folder / "slurm.conf")
        self.start("slurmctld", "slurmctld", "-D", *(["-c"] if clean else []), "-f", conf)

    def wait_until_idle(self, seconds: float = 30) -> None:
        """Wait until the node takes jobs."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if self.call("sinfo", "-h", "-o", "%t").split()[:1] in (["idle"], ["mix"]):
                    return
            except (RuntimeError, subprocess.TimeoutExpired):
                pass
            time.sleep(0.1)
        logs = [(self.folder / f"{n}.out").read_text()[-1500:] for n in ("slurmctld", "slurmd")]
        raise RuntimeError("SLURM did not come up:\n" + "\n".join(logs))


def _free_ports(number: int) -> list[int]:
    probes = [socket.socket() for _ in range(number)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@contextmanager
def running_slurm(folder: Path) -> Iterator[Slurm]:
    """Run SLURM in a folder (short path: a socket lives there)."""
    slurm = Slurm(folder)
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    ctld_port, d_port = _free_ports(2)
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True)
    (folder / "slurm.conf").write_text(
        _CONF.format(
            user=user.stdout.strip(),
            ctld_port=ctld_port,
            d_port=d_port,
            folder=folder,
            host=socket.gethostname().split(".")[0],
        )
    )
    for number in (0, 1):
        device = folder / f"fakegpu{number}"
        if os.geteuid() == 0:
            subprocess.run(["mknod", str(device), "c", "1", "3"], check=True)
        else:
            device.touch()  # counted, but CUDA_VISIBLE_DEVICES is not set
    (folder / "gres.conf").write_text(
        f"AutoDetect=off\nNodeName=localhost Name=gpu Type=fake File={folder}/fakegpu[0-1]\n"
    )
    munge = [f"--{name}={folder}/munge.{name}" for name in ("socket",)]
    munge += [f"--key-file={key}", f"--pid-file={folder}/munged.pid"]
    munge += [f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"]
    try:
        slurm.start("munged", "munged", "-F", "--force", *munge)
        slurm.start_slurmctld(clean=True)
        conf = str(folder / "slurm.conf")
        slurm.start("slurmd", "slurmd", "-D", "-N", "localhost", "-f", conf)
        slurm.wait_until_idle()
        yield slurm
    finally:
        try:
            ids = slurm.call("squeue", "-h", "-o", "%i").split()
            if ids:
                slurm.call("scancel", *ids)
                time.sleep(1)
        except (RuntimeError, subprocess.TimeoutExpired):
            pass
        for name in ("slurmd", "slurmctld", "munged"):
            if name in slurm.processes:
                slurm.stop(name)
