"""Ends of jobs as a real slurmdbd tells them: `python benchmarks/faults/accounting.py`.

Needs the Debian packages slurmdbd and mariadb-server, whose private daemons it starts. Jobs end in several ways; then
the controller forgets them, and `SlurmScheduler.explain` must know from sacct what became of them.
"""

import getpass
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from slurm_cluster import SlurmCluster, free_ports, program, wait_until

from ald_slurm.scheduler import SlurmScheduler

DBD = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge/sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser={user}
LogFile={folder}/log/dbd
PidFile={folder}/dbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
"""


class AccountedCluster(SlurmCluster):
    """A Slurm with accounting."""

    def __init__(self) -> None:
        super().__init__(nodes=2)
        self.data = self.folder / "mysql"
        (self.port,) = free_ports(1)
        path = self.folder / "slurm.conf"
        dbd = (
            "AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost=localhost\n"
            f"AccountingStoragePort={self.port}\nAccountingStoragePass={self.folder}/munge/sock\n"
            "MinJobAge=5"
        )
        text = path.read_text().replace("AccountingStorageType=accounting_storage/none", dbd)
        path.write_text(text.replace("MinJobAge=300\n", ""))
        conf = self.folder / "slurmdbd.conf"
        text = DBD.format(folder=self.folder, port=self.port, user=getpass.getuser())
        conf.write_text(text)
        conf.chmod(0o600)

    def start(self) -> None:
        """The data base first; then as ever."""
        socket = self.folder / "mysql.sock"
        user = getpass.getuser()
        subprocess.run(
            [program("mariadb-install-db"), "--no-defaults", f"--datadir={self.data}", f"--user={user}",
             "--skip-test-db", "--auth-root-authentication-method=normal"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.launch(
            "mariadbd", "--no-defaults", f"--datadir={self.data}", f"--socket={socket}",
            "--skip-networking", f"--user={user}", f"--pid-file={self.folder}/mysql.pid",
        )  # fmt: skip
        wait_until(socket.exists, 60)
        os.environ["MYSQL_UNIX_PORT"] = str(socket)
        super().start()

    def launch(self, name: str, *arguments: str, daemon: str = "") -> None:
        """slurmdbd comes before the controller."""
        if name == "slurmctld" and "slurmdbd" not in self.processes:
            super().launch("slurmdbd", "-D")
            wait_until(self._is_known, 60)
        super().launch(name, *arguments, daemon=daemon)

    def _is_known(self) -> bool:
        self.run("sacctmgr", "--immediate", "add", "cluster", "citest", check=False)
        return "citest" in self.run("sacctmgr", "-n", "show", "cluster", check=False)


LARGE = "x = bytearray(200_000_000); import time; time.sleep(9)"
# Without control groups Slurm writes FAILED for want of memory, and says why in the output of the job alone.
JOBS = {
    "ald-1-label-timeout-1": (["--time=1"], "sleep 300"),
    "ald-1-label-memory-1": (["--mem=50"], f"python3 -c '{LARGE}'"),
    "ald-1-label-cancelled-1": ([], "sleep 300"),
    "ald-1-label-node-1": (["--nodelist=n2"], "sleep 300"),
    "ald-1-label-good-1": ([], "true"),
}
EXPECTED = {
    "timeout": "timeout", "memory": None, "cancelled": "cancelled", "node": "node_fail", "good": None,
}  # fmt: skip


def main() -> None:
    with AccountedCluster() as slurm, tempfile.TemporaryDirectory() as empty:
        os.environ.update(slurm.environment)
        ids = {}
        for name, (options, text) in JOBS.items():
            usual = ["--parsable", "--no-requeue", f"--job-name={name}", "--output=/dev/null"]
            ids[name] = slurm.run("sbatch", *usual, *options, f"--wrap={text}").strip()
        time.sleep(3)
        slurm.run("scancel", ids["ald-1-label-cancelled-1"])
        slurm.run("scontrol", "update", "nodename=n2", "state=down", "reason=test")
        end = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 2))
        slurm.run("scontrol", "update", f"jobid={ids['ald-1-label-timeout-1']}", f"endtime={end}")
        wait_until(lambda: not slurm.run("squeue", "-h"), 90)
        print("ended:", slurm.jobs(), flush=True)
        wait_until(lambda: not slurm.run("squeue", "-h", "--states=all"), 180)
        print("the controller has forgotten them", flush=True)
        print(slurm.run("sacct", "-X", "-n", "-P", "--format=JobID,State,NodeList,JobName"))
        scheduler = SlurmScheduler()
        for name, job_id in ids.items():
            told = scheduler.explain(name, job_id, Path(empty))
            print(name, told)
            assert (told and told.ending) == EXPECTED[name.split("-")[3]], name


if __name__ == "__main__":
    main()
