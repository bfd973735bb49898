"""The Slurm executor against recorded words of Slurm 22.05.8; the real one is in integration/.

The recordings are what squeue, scontrol and sbatch of Debian's slurm-wlm 22.05.8-4 printed for
arrays on two nodes; sacct's are in the form that its manual page gives for --parsable2.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from batch_points import RUNNER, assert_all_right, point, points, square

from pamsim.batch.executors import ExecutorError, Progress, in_flight, load_handles
from pamsim.batch.executors.shard import main as run_share
from pamsim.batch.executors.slurm import SlurmExecutor, SlurmOptions
from pamsim.batch.executors.slurm_queue import (
    Queue,
    parse_sacct,
    parse_scontrol,
    parse_squeue,
    unusual,
)
from pamsim.batch.point import Point
from pamsim.batch.store import Store
from pamsim.batch.work import write_points
from pamsim.errors import EXIT_INPUT, EXIT_OK, EXIT_POINTS_FAILED, InputError

SQUEUE = "1|COMPLETED|None\n2|RUNNING|None\n3|COMPLETING|None\n4|PENDING|Resources\n5|FAILED|\n"
SCONTROL = """\
JobId=4 ArrayJobId=1 ArrayTaskId=3-5,7%2 JobName=x JobState=CANCELLED Reason=None \
Requeue=1 Restarts=0 ExitCode=0:0 NodeList=
JobId=3 ArrayJobId=1 ArrayTaskId=2 ArrayTaskThrottle=2 JobName=x UserId=root(0) JobState=FAILED \
Reason=NonZeroExitCode Dependency=(null) ExitCode=0:9 ReqNodeList=(null) NodeList=n2 BatchHost=n2
JobId=2 ArrayJobId=1 ArrayTaskId=1 JobState=COMPLETED Reason=None ExitCode=0:0 NodeList=n1
"""
SACCT = """\
7_1|COMPLETED|0:0|n1
7_2|OUT_OF_MEMORY|0:125|n2
7_3|CANCELLED by 0|0:0|n1
7_[4-9]|PENDING|0:0|
"""
NO_JOB = 'echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1'
NO_CONTROLLER = (
    'echo "slurm_load_jobs error: Unable to contact slurm controller (connect failure)" >&2; exit 1'
)
NO_ACCOUNTING = 'echo "Slurm accounting storage is disabled" >&2; exit 1'

Commands = Callable[..., None]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Slurm's commands as shell scripts, alone on PATH; each logs its arguments to calls."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    for name in ("squeue", "scontrol", "sacct", "scancel", "sbatch"):
        (directory / name).write_text(f"#!/bin/sh\necho no {name} here >&2; exit 1\n")
        (directory / name).chmod(0o755)

    def write(**scripts: str) -> None:
        for name, script in scripts.items():
            log = f'echo "{name} $*" >> {tmp_path}/calls\n'
            (directory / name).write_text(f"#!/bin/sh\n{log}{script}\n")

    write(sbatch="echo '7;cluster'", sacct=NO_ACCOUNTING)
    return write


def executor(**options: object) -> SlurmExecutor:
    return SlurmExecutor(**{"runner": RUNNER, "poll_s": 0.01, "settle_s": 0.05, **options})  # type: ignore[arg-type]


def says(text: str) -> str:
    return f"cat <<'EOF'\n{text}\nEOF"


def test_queue() -> None:
    assert parse_squeue(SQUEUE) == Queue(frozenset({2, 3}), frozenset({4}))
    assert parse_squeue("1|PENDING|JobHeldUser\n2|PENDING|JobHeldUser\n").note == (
        "the scheduler waits: JobHeldUser"
    )
    assert parse_squeue("") == Queue()


def test_ends_as_scontrol_tells_them() -> None:
    ends = parse_scontrol(SCONTROL)
    assert [end.share for end in ends] == [3, 4, 5, 7, 2, 1]
    assert [end.words for end in unusual(ends)][-2:] == [
        "CANCELLED (exit code 0:0)",
        "FAILED on n2 (exit code 0:9, NonZeroExitCode)",
    ]


def test_ends_as_sacct_tells_them() -> None:
    assert [(end.share, end.words) for end in unusual(parse_sacct(SACCT))] == [
        (2, "OUT_OF_MEMORY on n2 (exit code 0:125)"),
        (3, "CANCELLED on n1 (exit code 0:0, by 0)"),
    ]


def test_the_script_says_what_was_asked_for(tmp_path: Path, commands: Commands) -> None:
    options = SlurmOptions(
        partition="long",
        account="pim",
        time="1:00:00",
        memory="4G",
        cpus=2,
        modules=["gcc/12", "odd name"],
        directives=["--constraint=avx512"],
        setup=["ulimit -c 0"],
    )
    handle = executor(options=options, jobs=3, timeout_s=60.0).submit(
        points(40, tmp_path / "traces"), tmp_path / "the store", tmp_path / "runs"
    )
    script = (handle.directory / "job.sh").read_text()
    lines = script.splitlines()
    assert lines[0] == "#!/bin/bash"
    assert [line for line in lines if line.startswith("#SBATCH")][1:] == [
        "#SBATCH --array=1-12%3",  # four tasks a job
        f"#SBATCH --output={handle.directory}/logs/%a.log",
        "#SBATCH --open-mode=append",
        "#SBATCH --requeue",
        "#SBATCH --nodes=1",
        "#SBATCH --ntasks=1",
        "#SBATCH --cpus-per-task=2",
        "#SBATCH --partition=long",
        "#SBATCH --account=pim",
        "#SBATCH --time=1:00:00",
        "#SBATCH --mem=4G",
        "#SBATCH --constraint=avx512",
    ]
    assert "module load gcc/12\nmodule load 'odd name'\nulimit -c 0\n" in script
    assert f"--store '{tmp_path}/the store'" in lines[-1]
    assert lines[-1].endswith('--jobs 2 --timeout 60 --shard "$SLURM_ARRAY_TASK_ID/12"')
    assert subprocess.run(["bash", "-n", handle.directory / "job.sh"], check=False).returncode == 0


def test_the_script_does_its_share(tmp_path: Path, commands: Commands) -> None:
    """Run as Slurm would, once for each task, in a directory with a blank and a per cent sign."""
    wanted = points(7, tmp_path / "traces")
    handle = executor(shares=3).submit(wanted, tmp_path / "a store", tmp_path / "100 % runs")
    script = handle.directory / "job.sh"
    assert f'#SBATCH --output="{tmp_path}/100 %% runs/0001-slurm/logs/%a.log"' in script.read_text()
    for task in ("1", "2", "3", "2"):  # the second of 2 is a requeue
        subprocess.run(
            ["bash", script],
            check=True,
            capture_output=True,
            env={
                "SLURM_ARRAY_TASK_ID": task,
                "SLURM_ARRAY_JOB_ID": "7",
                "SLURMD_NODENAME": "n1",
                "PYTHONPATH": str(Path(__file__).parent),
            },
        )
    assert_all_right(tmp_path / "a store", wanted)
    assert len(list((tmp_path / "traces").iterdir())) == 7


def test_a_template_of_the_users_own(tmp_path: Path, commands: Commands) -> None:
    template = tmp_path / "mine.j2"
    template.write_text("#!/bin/sh\n#SBATCH --array=1-{{ shares }} --licenses=pim\n{{ share }}\n")
    handle = executor(options=SlurmOptions(template=template)).submit(
        points(2, tmp_path / "traces"), tmp_path / "store", tmp_path / "runs"
    )
    assert "--array=1-2 --licenses=pim" in (handle.directory / "job.sh").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ share }}\n{{ partitoin }}", r"'partitoin' is undefined"),
        ("#!/bin/sh\n{% if %}", r"template must be one that jinja2 renders .*mine\.j2:2\]"),
    ],
)
def test_a_template_with_a_fault(
    tmp_path: Path, commands: Commands, text: str, message: str
) -> None:
    (tmp_path / "mine.j2").write_text(text)
    with pytest.raises(InputError, match=message):
        executor(options=SlurmOptions(template=tmp_path / "mine.j2")).submit(
            points(2, tmp_path / "traces"), tmp_path / "store", tmp_path / "runs"
        )
    assert load_handles(tmp_path / "runs") == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"partition": "a b"}, "partition must be one word, not 'a b'"),
        ({"memory": "4G\n#SBATCH -A x"}, "memory must be one word"),
        ({"directives": ["constraint=x"]}, "directive must be an option of sbatch on one line"),
        ({"cpus": 0}, "cpus must be at least 1, not 0"),
    ],
)
def test_options_that_cannot_stand_in_a_script(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SlurmExecutor(options=SlurmOptions(**options))  # type: ignore[arg-type]


def test_a_refusal_is_quoted_and_leaves_no_submission(tmp_path: Path, commands: Commands) -> None:
    commands(
        sbatch="""cat >&2 <<'EOF'
sbatch: error: Memory specification can not be satisfied
sbatch: error: Batch job submission failed: Requested node configuration is not available
EOF
exit 1"""
    )
    with pytest.raises(ExecutorError) as error:
        executor().submit(points(2, tmp_path / "traces"), tmp_path / "store", tmp_path / "runs")
    assert str(error.value) == (
        "sbatch must succeed, not say 'Memory specification can not be satisfied; Batch job "
        "submission failed: Requested node configuration is not available'"
    )
    assert load_handles(tmp_path / "runs") == []


def test_without_slurm_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExecutorError, match=r"sbatch must be on PATH.*is Slurm installed here"):
        executor().submit(points(2, tmp_path / "t"), tmp_path / "store", tmp_path / "runs")


def test_a_job_that_was_taken_without_an_answer_is_found(
    tmp_path: Path, commands: Commands
) -> None:
    commands(
        sbatch='echo "sbatch: error: Socket timed out on send/recv operation" >&2; exit 1',
        squeue="echo 41; echo 41",
    )
    handle = executor().submit(points(2, tmp_path / "t"), tmp_path / "store", tmp_path / "runs")
    assert handle.details["job_id"] == "41"
    assert f"--name {handle.details['job_name']}" in (tmp_path / "calls").read_text()


def test_a_job_whose_submitter_died_before_it_heard_is_found_by_name(
    tmp_path: Path, commands: Commands
) -> None:
    commands(sbatch="kill -9 $PPID")
    code = (
        "from pathlib import Path; import batch_points;"
        "from pamsim.batch.executors.slurm import SlurmExecutor as E;"
        f"t = Path({str(tmp_path)!r}); E(runner=batch_points.RUNNER, shares=1).submit("
        "batch_points.points(2, t / 't'), t / 'store', t / 'runs')"
    )
    died = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=False)
    assert died.returncode == -9
    (handle,) = load_handles(tmp_path / "runs")
    commands(squeue='case "$*" in *--name*) echo 41;; *"--jobs 41"*) echo "1|RUNNING|None";; esac')
    assert executor().poll(handle) == Progress(done=0, failed=0, running=1, pending=1)


def test_progress_from_the_queue_and_the_store(tmp_path: Path, commands: Commands) -> None:
    wanted = points(10, tmp_path / "traces")
    handle = executor(shares=5).submit(wanted, tmp_path / "store", tmp_path / "runs")
    store = Store(tmp_path / "store")
    square(store, wanted[0])  # shares 1 to 5 have the points n and n + 5
    store.put_failure(wanted[5].key, "broken", 1)
    commands(squeue=says(SQUEUE))
    # Shares 1 (settled) and 5 have left the queue, 2 and 3 run, 4 waits.
    assert executor().poll(handle) == Progress(done=1, failed=1, running=2, pending=4, missing=2)
    assert in_flight(tmp_path / "runs") == {wanted[n].key for n in (1, 6, 2, 7, 3, 8)}
    commands(squeue=NO_CONTROLLER)
    assert in_flight(tmp_path / "runs") == set()


def test_a_controller_that_is_away_costs_nothing(tmp_path: Path, commands: Commands) -> None:
    wanted = points(4, tmp_path / "traces")
    handle = executor().submit(wanted, tmp_path / "store", tmp_path / "runs")
    square(Store(tmp_path / "store"), wanted[0])
    commands(squeue=NO_CONTROLLER)
    seen = executor().poll(handle)
    assert (seen.done, seen.pending, seen.missing) == (1, 3, 0)
    assert "Unable to contact slurm controller" in seen.note


def test_a_job_that_vanished_ends_the_wait_and_is_explained(
    tmp_path: Path, commands: Commands
) -> None:
    wanted = points(4, tmp_path / "traces")
    running = executor(shares=4)
    handle = running.submit(wanted, tmp_path / "store", tmp_path / "runs")
    square(Store(tmp_path / "store"), wanted[0])
    commands(squeue=NO_JOB, scontrol=says(SCONTROL.replace("3-5,7%2", "3")))
    assert running.wait(handle, timeout_s=10) == Progress(1, 0, 0, 0, missing=3)
    (handle.directory / "logs" / "2.log").write_text("a\nshard 2/4\nslurmstepd: error: Killed\n")
    assert running.explain(handle) == [
        "job 7: 1 of its tasks: CANCELLED (exit code 0:0)",
        "job 7: 1 of its tasks: FAILED on n2 (exit code 0:9, NonZeroExitCode)",
        "job 7: 1 of its tasks: gone from the queue with points missing, and the scheduler has "
        "forgotten why",
        "task 2 last said: a | shard 2/4 | slurmstepd: error: Killed",
    ]
    commands(sacct=says(SACCT))
    assert running.explain(handle)[0] == (
        "job 7: 1 of its tasks: OUT_OF_MEMORY on n2 (exit code 0:125)"
    )


def test_results_that_arrive_late_are_not_missing(tmp_path: Path, commands: Commands) -> None:
    """A shared file system may show a result a while after its task has ended."""
    wanted = points(2, tmp_path / "traces")
    running = executor(settle_s=20.0)
    handle = running.submit(wanted, tmp_path / "store", tmp_path / "runs")
    commands(squeue=NO_JOB)

    def arrive(seen: Progress) -> None:
        for one in wanted:
            square(Store(tmp_path / "store"), one)

    assert running.wait(handle, timeout_s=10, watch=arrive) == Progress(2, 0, 0, 0)


def test_cancel(tmp_path: Path, commands: Commands) -> None:
    commands(scancel="exit 0")
    handle = executor().submit(points(2, tmp_path / "t"), tmp_path / "store", tmp_path / "runs")
    executor().cancel(handle)
    assert (tmp_path / "calls").read_text().splitlines()[-1] == "scancel 7"


def share(tmp_path: Path, wanted: list[Point], *arguments: str) -> int:
    write_points(tmp_path / "points.jsonl", wanted)
    files = ["--points", f"{tmp_path}/points.jsonl", "--store", f"{tmp_path}/store"]
    return run_share([*files, "--runner", RUNNER, *arguments])


def test_a_share_is_every_nth_point(tmp_path: Path) -> None:
    wanted = points(7, tmp_path / "traces")
    assert share(tmp_path, wanted, "--shard", "2/3") == EXIT_OK
    assert_all_right(tmp_path / "store", [wanted[1], wanted[4]])


def test_a_share_with_failures_ends_with_the_code_of_failed_points(tmp_path: Path) -> None:
    wanted = [point(1, tmp_path, raises="broken"), point(2, tmp_path)]
    assert share(tmp_path, wanted) == EXIT_POINTS_FAILED
    assert Store(tmp_path / "store").has(wanted[1].key)


@pytest.mark.parametrize("text", ["0/2", "3/2", "x", "1/", "-1/2"])
def test_a_share_that_is_none(tmp_path: Path, text: str) -> None:
    assert share(tmp_path, points(2, tmp_path / "t"), f"--shard={text}") == EXIT_INPUT
