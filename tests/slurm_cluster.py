"""A private Slurm on this machine: real daemons in a temporary folder, several nodes, free ports, no root needed.

    with SlurmCluster() as slurm:
        slurm.run("sbatch", "--wrap=hostname")

Jobs start in tenths of a second. Everything dies with the object, jobs included.
"""

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "srun")
PACKAGES = "slurmctld slurmd slurm-client munge"
SEARCH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"

CONFIGURATION = """\
ClusterName=citest
SlurmctldHost=localhost(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={port}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge/sock
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0,bf_interval=2
ReturnToService=1
SlurmctldTimeout=30
SlurmdTimeout=10
KillWait=2
MinJobAge=300
MaxJobCount=10000
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
NodeName=DEFAULT CPUs={cpus} Sockets=1 CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory=8000 State=UNKNOWN
"""


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens at now."""
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def program(name: str) -> str:
    """Path of a program of Slurm; what to install if it is missing."""
    path = shutil.which(name, path=SEARCH)
    assert path, f"{name} is missing; install Slurm: apt-get install {PACKAGES} (`make test` does)"
    return path


class SlurmCluster:
    """Slurm with nodes n1, n2 …, partitions `debug` (default), `short` (5 minutes) and `closed` (down)."""

    def __init__(self, nodes: int = 4, cpus: int = 8, extra: str = ""):
        for name in NEEDED:
            program(name)
        # Short: a Unix socket has 108 bytes of path at most. Mode 755, or munged refuses it.
        self.folder = Path(tempfile.mkdtemp(prefix="ald-slurm-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.nodes = [f"n{i + 1}" for i in range(nodes)]
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.killed = False
        self.first_id = 1
        self._configure(cpus, extra)

    def _configure(self, cpus: int, extra: str) -> None:
        for name in ("munge", "state", "log", *(f"spool/{node}" for node in self.nodes)):
            (self.folder / name).mkdir(parents=True)
        key = self.folder / "munge" / "key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        port, *ports = free_ports(1 + len(self.nodes))
        text = CONFIGURATION.format(
            user=getpass.getuser(), folder=self.folder, port=port, cpus=cpus
        )
        for node, place in zip(self.nodes, ports, strict=True):
            text += f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={place}\n"
        common = f"Nodes=n[1-{len(self.nodes)}] DefMemPerCPU=100"
        text += f"PartitionName=debug {common} Default=YES MaxTime=INFINITE State=UP\n"
        text += f"PartitionName=short {common} MaxTime=00:05:00 State=UP\n"
        text += f"PartitionName=closed {common} MaxTime=INFINITE State=DOWN\n{extra}"
        (self.folder / "slurm.conf").write_text(text)

    @property
    def environment(self) -> dict[str, str]:
        """What clients need."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": SEARCH}

    def __enter__(self) -> "SlurmCluster":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """All daemons; returns when every node is idle."""
        munge = self.folder / "munge"
        self.launch(
            "munged", "--foreground", f"--key-file={munge}/key", f"--socket={munge}/sock",
            f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed",
        )  # fmt: skip
        wait_until((munge / "sock").exists)
        self.start_controller("-c")
        for node in self.nodes:
            self.launch(node, "-D", "-N", node, daemon="slurmd")
        wait_until(lambda: self.idle() == len(self.nodes), 30)

    def launch(self, name: str, *arguments: str, daemon: str = "") -> None:
        """Start a daemon in the foreground of a session of its own."""
        with (self.folder / "log" / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [program(daemon or name), *arguments],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start_controller(self, *arguments: str) -> None:
        """slurmctld; with `-c` it forgets what was."""
        self.launch("slurmctld", "-D", *arguments)

    def stop_controller(self, number: int = signal.SIGTERM) -> None:
        """End slurmctld, with SIGKILL in the middle of whatever it does."""
        process = self.processes.pop("slurmctld")
        self.killed = self.killed or number == signal.SIGKILL
        process.send_signal(number)
        process.wait(30)

    def run(self, *command: str, check: bool = True, timeout: float = 60) -> str:
        """A client; its standard output."""
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, stdout=subprocess.PIPE, text=True,
            check=check, timeout=timeout, stderr=subprocess.STDOUT if check else subprocess.DEVNULL,
        )  # fmt: skip
        return done.stdout

    def idle(self) -> int:
        """How many nodes are free altogether."""
        answer = self.run("sinfo", "-h", "-p", "debug", "-t", "idle", "-o", "%D", check=False)
        return int(answer.strip() or 0)

    def usable(self) -> int:
        """How many nodes take jobs."""
        answer = self.run(
            "sinfo",
            "-h",
            "-p",
            "debug",
            "-t",
            "idle,mixed,alloc,completing",
            "-o",
            "%D",
            check=False,
        )
        return sum(int(word) for word in answer.split())

    def jobs(self) -> dict[str, str]:
        """States of all jobs that Slurm remembers, by name."""
        lines = self.run("squeue", "--all", "--states=all", "-h", "-o", "%T %j").splitlines()
        return {line.split(" ", 1)[1]: line.split(" ", 1)[0] for line in lines}

    def recover(self) -> None:
        """No jobs, a controller, and all nodes up: as at the start; ids that it has lost are not given again."""
        if self.killed:
            if "slurmctld" in self.processes:
                self.stop_controller()
            self.killed = False
            self.first_id += 1000
            path = self.folder / "slurm.conf"
            lines = [x for x in path.read_text().splitlines() if not x.startswith("FirstJobId=")]
            path.write_text("\n".join([*lines, f"FirstJobId={self.first_id}", ""]))
        if "slurmctld" not in self.processes:
            self.start_controller()
        wait_until(lambda: self.run("scontrol", "ping", check=False).count("is UP"))
        self.run("scancel", f"--user={getpass.getuser()}")
        self.recover_nodes()
        wait_until(lambda: self.idle() == len(self.nodes))

    def recover_nodes(self) -> None:
        """All nodes up."""
        wait_until(lambda: self.run("scontrol", "ping", check=False).count("is UP"))
        patience = time.monotonic() + 15
        while self.usable() < len(self.nodes):
            if self.run("sinfo", "-h", "-p", "debug", "-t", "down,drain", "-o", "%n", check=False):
                nodes = f"nodename={','.join(self.nodes)}"
                self.run("scontrol", "update", nodes, "state=resume", check=False)
            if time.monotonic() > patience:  # a daemon can hang over a job that was requeued
                self.restart_nodes()
                patience = time.monotonic() + 15
            time.sleep(0.2)

    def restart_nodes(self) -> None:
        """The daemons of the nodes die and come again; what runs on them does not notice."""
        for node in self.nodes:
            process = self.processes.pop(node)
            process.kill()
            process.wait()
            self.launch(node, "-D", "-N", node, daemon="slurmd")

    def stop(self) -> None:
        """End jobs and daemons, and delete the folder."""
        if "slurmctld" in self.processes:
            self.run("scancel", f"--user={getpass.getuser()}", check=False)
            end = time.monotonic() + 3
            while time.monotonic() < end and self.run("squeue", "-h", "-a", check=False):
                time.sleep(0.05)
        doomed = []
        for process in self.processes.values():
            if process.poll() is None:
                doomed += psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait()
        for child in doomed:
            try:
                child.kill()
            except psutil.NoSuchProcess:
                continue
        shutil.rmtree(self.folder, ignore_errors=True)


def wait_until(condition, seconds: float = 20.0) -> None:
    """Look again and again; an assertion fails when the time is over."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)
