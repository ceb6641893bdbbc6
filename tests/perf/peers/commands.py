"""Runs one measurement of one system as a process and reads what it says."""

import ctypes
import dataclasses
import json
import os
import pathlib
import resource
import signal
import subprocess
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent
OURS = "blockserve"
PR_SET_CHILD_SUBREAPER = 36


@dataclasses.dataclass
class Measurement:
    tokens_per_second: float | None
    # Share of all cores' time that processes of others took meanwhile.
    others_share: float
    report: dict
    error: str = ""


def our_command(arguments, case, json_file):
    command = [
        str(arguments.blockserve), "bench", "engine", f"--random={case.model}",
        *case.shape_flags(), "--dtype=bf16", f"--threads={arguments.threads}",
        "--repeat=1", "--phases=off", f"--json={json_file}",
    ]
    return command


def peer_command(arguments, case, peer):
    command = [
        str(arguments.pythons[peer]), str(FOLDER / f"{peer}.py"),
        f"--model={case.peer_model()}", *case.shape_flags(),
        f"--threads={arguments.threads}", "--repeat=1",
    ]
    return command + arguments.extra_flags.get(peer, [])


def busy_and_total_seconds():
    """Of all cores since boot, by /proc/stat; time stolen counts as busy."""
    with open("/proc/stat") as file:
        ticks = [int(field) for field in file.readline().split()[1:9]]
    user, nice, system, idle, iowait, irq, softirq, steal = ticks
    hertz = os.sysconf("SC_CLK_TCK")
    busy = user + nice + system + irq + softirq + steal
    return busy / hertz, (busy + idle + iowait) / hertz


def adopt_orphans():
    """Makes this process the parent of what its children leave behind, so that
    the time of a server's workers counts as the server's."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_group(group):
    """Ends and reaps what is left of a child's processes."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        pass


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_process(command, timeout):
    """Returns (stdout, error); leaves no process of it behind."""
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        process = subprocess.Popen(
            command, stdout=stdout, stderr=stderr, start_new_session=True
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            return "", f"no result after {timeout:g} s"
        finally:
            end_group(process.pid)
        stdout.seek(0)
        stderr.seek(0)
        if code == 0:
            return stdout.read(), ""
        lines = stderr.read().strip().splitlines() or ["nothing on stderr"]
        return "", f"exit code {code}: {lines[-1]}"


def measure(arguments, case, system):
    """One process of `system` on the shape of `case`."""
    with tempfile.TemporaryDirectory() as folder:
        json_file = pathlib.Path(folder) / "report.json"
        if system == OURS:
            command = our_command(arguments, case, json_file)
        else:
            command = peer_command(arguments, case, system)
        busy, total = busy_and_total_seconds()
        own = children_seconds()
        try:
            output, error = run_process(command, arguments.timeout)
        except OSError as problem:
            output, error = "", str(problem)
        own = children_seconds() - own
        now_busy, now_total = busy_and_total_seconds()
        elapsed = max(now_total - total, 1e-9)
        others = min(max(now_busy - busy - own, 0) / elapsed, 1)
        if error:
            return Measurement(None, others, {}, error)
        try:
            report = json.loads(
                json_file.read_text() if system == OURS else output.splitlines()[-1]
            )
            rate = float(report["tokens_per_second"])
        except (OSError, ValueError, IndexError, KeyError) as problem:
            return Measurement(None, others, {}, f"unreadable report: {problem!r}")
        return Measurement(rate, others, report)
