"""A real Slurm on loopback only: munged, slurmctld and two slurmd, for tests of the Slurm executor.

    scripts/slurm_loopback.py start DIR     # then: export SLURM_CONF=DIR/slurm.conf
    scripts/slurm_loopback.py status DIR
    scripts/slurm_loopback.py stop DIR

Needs Debian's slurm-wlm and munge (slurmctld, slurmd, munged), but none of their services: every
port, socket, key, spool and log is this script's own, in DIR. Nothing listens on another address
than 127.0.0.1. Any user can run it.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
NODES = ("n1", "n2")
SYSTEM_PATHS = os.pathsep.join(("/usr/sbin", "/usr/local/sbin", "/sbin"))
SOCKET_PATH_BYTES = 107  # sun_path of sockaddr_un, less its NUL
LONGEST_SOCKET = "spool-n1/n1_2147483647.4294967291"

# NoCtldInAddrAny: without it slurmctld listens on 0.0.0.0, whatever SlurmctldHost says.
# cred_expire: a requeued job waits this long before it may start again; 120 s unless told.
# SlurmdTimeout: a node whose slurmd does not answer for this long is down, and its jobs requeued.
CONF = """\
ClusterName=loopback
SlurmctldHost=localhost(127.0.0.1)
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket,cred_expire=5
CryptoType=crypto/munge
SlurmctldPort={controller_port}
StateSaveLocation={directory}/state
SlurmctldPidFile={directory}/slurmctld.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdPidFile={directory}/slurmd-%n.pid
SlurmdSpoolDir={directory}/spool-%n
SlurmdLogFile={directory}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1
SlurmctldTimeout=30
SlurmdTimeout=6
ReturnToService=2
KillWait=2
MinJobAge=300
{nodes}
PartitionName=main Nodes={names} Default=YES MaxTime=60 State=UP
"""


def missing_programs() -> list[str]:
    """The programs of Slurm and munge that are not on this machine."""
    return [name for name in PROGRAMS if find_program(name) is None]


def find_program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=SYSTEM_PATHS)


class LoopbackSlurm:
    """A cluster of two one-core nodes whose whole state is one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.conf = self.directory / "slurm.conf"

    @property
    def env(self) -> dict[str, str]:
        """The environment in which sbatch and the others speak to this cluster."""
        return {**os.environ, "SLURM_CONF": str(self.conf)}

    def start(self) -> None:
        """Starts the daemons and waits until both nodes are idle; raises RuntimeError."""
        missing = missing_programs()
        if missing:
            raise RuntimeError(f"not installed: {', '.join(missing)} (slurm-wlm, munge)")
        if len(os.fsencode(self.directory / LONGEST_SOCKET)) > SOCKET_PATH_BYTES:
            raise RuntimeError(f"the path of a unix socket must be short, not in {self.directory}")
        for name in (".", "state", *(f"spool-{node}" for node in NODES)):
            (self.directory / name).mkdir(parents=True, exist_ok=True, mode=0o755)
        self._write_conf()
        self._start_munged()
        self._call("slurmctld", "-f", str(self.conf))
        for node in NODES:
            self.start_node(node)
        self.wait_for("both nodes idle", lambda: self.node_states() == dict.fromkeys(NODES, "idle"))

    def stop(self) -> None:
        """Ends every job and daemon of this directory, and nothing else."""
        if self.conf.exists() and self.pid("slurmctld"):
            with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
                self._call("scancel", "--user", getpass.getuser(), "--signal=KILL", "--full")
        # slurmctld first: it would requeue the jobs of a node that leaves.
        for name in ("slurmctld", *(f"slurmd-{node}" for node in NODES), "munged"):
            pid = self.pid(name)
            if pid:
                _end([pid], signal.SIGTERM)
        _end(self._leftovers(), signal.SIGKILL)

    def start_node(self, node: str) -> None:
        self._call("slurmd", "-f", str(self.conf), "-N", node)

    def kill_node(self, node: str) -> None:
        """SIGKILL to a node's slurmd; the jobs that ran there are orphans and go on."""
        pid = self.pid(f"slurmd-{node}")
        if pid is None:
            raise RuntimeError(f"slurmd of {node} does not run")
        os.kill(pid, signal.SIGKILL)

    def hold(self, partition: str = "main") -> None:
        """Takes jobs and starts none, until `release`."""
        self._call("scontrol", "update", f"PartitionName={partition}", "State=DOWN")

    def release(self, partition: str = "main") -> None:
        """Starts jobs again."""
        self._call("scontrol", "update", f"PartitionName={partition}", "State=UP")

    def node_states(self) -> dict[str, str]:
        """State by node as sinfo prints it, such as `idle`, `alloc`, `down*`."""
        lines = self._call("sinfo", "-h", "-N", "-o", "%N %t").split("\n")
        return {line.split()[0]: line.split()[1] for line in lines if line.strip()}

    def pid(self, name: str) -> int | None:
        """The process of `munged`, `slurmctld`, `slurmd-n1` or `slurmd-n2`, if it runs."""
        try:
            pid = int((self.directory / f"{name}.pid").read_text())
        except (OSError, ValueError):
            return None
        return pid if pid in self._leftovers() else None

    def wait_for(self, what: str, condition: object, timeout_s: float = 30) -> None:
        """Waits until a callable holds; raises RuntimeError with the end of the logs."""
        assert callable(condition)
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            with contextlib.suppress(RuntimeError):
                if condition():
                    return
            time.sleep(0.2)
        logs = "\n".join(
            f"== {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            for log in sorted(self.directory.glob("*.log"))
        )
        raise RuntimeError(f"not after {timeout_s:g} s: {what}\n{logs}")

    def _write_conf(self) -> None:
        controller, *ports = _free_ports(1 + len(NODES))
        host = socket.gethostname().split(".")[0]
        nodes = [
            f"NodeName={node} NodeHostName={host} NodeAddr=127.0.0.1 Port={port} CPUs=1"
            " RealMemory=1000 State=UNKNOWN"
            for node, port in zip(NODES, ports, strict=True)
        ]
        self.conf.write_text(
            CONF.format(
                user=getpass.getuser(),
                directory=self.directory,
                controller_port=controller,
                nodes="\n".join(nodes),
                names=",".join(NODES),
            )
        )

    def _start_munged(self) -> None:
        key = self.directory / "munge.key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_bytes(os.urandom(1024))
        files = {
            "socket": "munge.socket",
            "key-file": "munge.key",
            "pid-file": "munged.pid",
            "log-file": "munged.log",
            "seed-file": "munge.seed",
        }
        # --force: a private directory is fine here, munged would have its socket open to all users.
        options = [f"--{option}={self.directory / name}" for option, name in files.items()]
        self._call("munged", "--force", *options)

    def _call(self, name: str, *arguments: str) -> str:
        program = find_program(name)
        if program is None:
            raise RuntimeError(f"not installed: {name}")
        # A file, not a pipe: a daemon keeps its stderr, and a pipe would be waited for.
        with open(self.directory / "calls.log", "a+", encoding="utf-8") as log:
            start = log.tell()
            done = subprocess.run(
                [program, *arguments],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=30,
                check=False,
                cwd=self.directory,
            )
            log.seek(start)
            said = log.read()
        if done.returncode:
            raise RuntimeError(f"{name} {' '.join(arguments)}: exit code {done.returncode}\n{said}")
        return said

    def _leftovers(self) -> list[int]:
        """Processes whose environment or command line names this directory's configuration."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                environment = (entry / "environ").read_bytes().split(b"\0")
                command = (entry / "cmdline").read_bytes()
                if (
                    b"SLURM_CONF=" + os.fsencode(self.conf) in environment
                    and command.split(b"\0")[0].split(b"/")[-1].startswith((b"slurm", b"munge"))
                ) or os.fsencode(self.directory / "spool-") in command:
                    found.append(int(entry.name))
        return found


def _free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as sockets:
        ports = []
        for _ in range(n):
            one = sockets.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            ports.append(one.getsockname()[1])
        return ports


def _end(pids: Iterable[int], how: signal.Signals, patience_s: float = 5) -> None:
    """Signals processes and waits for their end; what stays gets SIGKILL."""
    left = list(pids)
    for sign in (how, signal.SIGKILL):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
        end = time.monotonic() + patience_s
        while left and time.monotonic() < end:
            left = [pid for pid in left if _runs(pid)]
            time.sleep(0.05)
        if not left:
            return


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=["start", "status", "stop"])
    parser.add_argument("directory", type=Path)
    options = parser.parse_args()
    cluster = LoopbackSlurm(options.directory)
    try:
        if options.verb == "start":
            try:
                cluster.start()
            except BaseException:
                cluster.stop()
                raise
            print(f"export SLURM_CONF={cluster.conf}")
        elif options.verb == "stop":
            cluster.stop()
        else:
            for node, state in cluster.node_states().items():
                print(node, state)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
