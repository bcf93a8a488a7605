"""A SLURM cluster of this one machine: munged, slurmctld and slurmd on the loopback interface.

It has its configuration, key, ports and state in a directory of its own, so that it neither needs nor disturbs a SLURM
that is on the machine already. Commands reach it through the environment that `Cluster.environment` gives.
"""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("slurm-wlm", "munge")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "sinfo")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
CPUS, MEMORY_MB = 2, 4000

CONFIG = """\
ClusterName=permafrost
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket
CredType=cred/munge
SlurmctldPort={controller_port}
SlurmdPort={node_port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={directory}/controller
SlurmdSpoolDir={directory}/node
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,bf_interval=1
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
KillWait=2
# The machine may have fewer cores than the node says.
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class CannotRun(Exception):
    """A cluster cannot be had on this machine; one sentence that says why and what to do."""


def install() -> None:
    """Installs the Debian packages where the programs are missing. Raises CannotRun where that is not possible."""
    missing = [program for program in PROGRAMS if not shutil.which(program, path=PATH)]
    if not missing:
        return
    needed = f"the SLURM tests need {missing[0]} (Debian's {' and '.join(PACKAGES)})"
    if not shutil.which("apt-get"):
        raise CannotRun(f"{needed}, and there is no apt-get here to install it: install it yourself")
    if os.geteuid() != 0:
        raise CannotRun(f"{needed}: install it, or run this as root")
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(
            ["apt-get", "-o", "DPkg::Lock::Timeout=120", *command], env=quiet, capture_output=True, text=True
        )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise CannotRun(f"{needed}, and apt-get could not install it: {reason}")


class Cluster:
    """A running cluster of one node with CPUS processors.

    Attributes:
      environment: what a process needs in its environment to use the cluster.
    """

    def __init__(self, directory: Path):
        self.directory = directory
        self.environment = os.environ | {
            "SLURM_CONF": str(directory / "slurm.conf"),
            "PATH": f"{directory}/bin:{PATH}",
        }
        self._daemons: list[subprocess.Popen] = []

    def start(self) -> None:
        """Starts the daemons and waits for the node. Raises CannotRun with the end of a log where one does not run."""
        for name in ("controller", "node", "bin"):
            (self.directory / name).mkdir()
        # Snakemake's executor takes SLURM's variables, this one too, out of the environment in which it calls srun.
        srun = self.directory / "bin" / "srun"
        own = shutil.which("srun", path=PATH)
        srun.write_text(f'#!/bin/sh\nSLURM_CONF="{self.directory}/slurm.conf" exec "{own}" "$@"\n')
        srun.chmod(0o755)
        (self.directory / "munge.key").write_bytes(os.urandom(128))
        (self.directory / "munge.key").chmod(0o600)
        controller_port, node_port = free_ports(2)
        (self.directory / "slurm.conf").write_text(
            CONFIG.format(
                host=socket.gethostname().partition(".")[0],
                user=getpass.getuser(),
                directory=self.directory,
                controller_port=controller_port,
                node_port=node_port,
                cpus=CPUS,
                memory=MEMORY_MB,
            )
        )
        munge_files = {"key": "munge.key", "pid": "munge.pid", "seed": "munge.seed", "log": "munge.log"}
        self._daemon(
            "munged", "--foreground", "--force", f"--socket={self.directory}/munge.socket",
            *(f"--{kind}-file={self.directory / name}" for kind, name in munge_files.items()),
        )  # fmt: skip
        self._wait_for("munged", (self.directory / "munge.socket").exists)
        self._daemon("slurmctld", "-D", "-c")
        self._daemon("slurmd", "-D")
        self._wait_for("slurmd", lambda: "idle" in self.run("sinfo", "--noheader", "--format=%T"))

    def _daemon(self, *command: str) -> None:
        # The kernel stops a daemon whose tests were killed.
        with (self.directory / f"{command[0]}.out").open("wb") as log:
            self._daemons.append(
                subprocess.Popen(
                    ["setpriv", "--pdeathsig=TERM", *command], env=self.environment, stdout=log, stderr=log
                )
            )

    def _wait_for(self, daemon: str, condition) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            ended = [process for process in self._daemons if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                name = ended[0].args[2] if ended else daemon
                lines = (self.directory / f"{name}.out").read_text(errors="replace").splitlines()[-3:]
                raise CannotRun(f"{name} does not run; the last that it said: {' | '.join(lines)}")
            time.sleep(0.1)

    def run(self, *command: str) -> str:
        """What a command of SLURM prints, errors included."""
        done = subprocess.run(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
        )
        return done.stdout

    def stop(self) -> None:
        """Cancels what still runs, and stops the daemons."""
        self.run("scancel", "--full", "--signal=KILL", f"--user={getpass.getuser()}")
        self.run("scancel", f"--user={getpass.getuser()}")
        deadline = time.monotonic() + 20
        while self.run("squeue", "--noheader").strip() and time.monotonic() < deadline:
            time.sleep(0.1)
        for process in reversed(self._daemons):
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


@contextlib.contextmanager
def cluster(directory: Path) -> Iterator[Cluster]:
    """Gives a running cluster, and stops it. Raises CannotRun."""
    install()
    started = Cluster(directory)
    try:
        started.start()
        yield started
    finally:
        started.stop()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface on which nobody listens now."""
    sockets = [socket.socket() for _ in range(count)]
    for free in sockets:
        free.bind(("127.0.0.1", 0))
    ports = [free.getsockname()[1] for free in sockets]
    for free in sockets:
        free.close()
    return ports
