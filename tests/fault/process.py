"""A server process of a test on one of its hosts, supervised."""

import pathlib
import signal
import subprocess
import threading
import time

from scrape import scrape, total

RESTART_DELAY = 0.2  # seconds; an orchestrator takes longer


def wait_until(condition, seconds, what):
    """Waits until `condition()` is true and returns what it was."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.01)


class Process:
    """Runs a command line on a host and, as an orchestrator does, starts it
    again whenever it ends. All output goes to one log file.

    Thread-safe.
    """

    def __init__(self, name, host, arguments, directory, metrics_port):
        self.name = name
        self.host = host
        self.arguments = arguments
        self.metrics_address = f"{host.address}:{metrics_port}"
        self.log_file = pathlib.Path(directory, f"{name}.log")
        self.exit_codes = []  # of all that ended
        self.started_at = None  # time.monotonic() of the last start
        self._lock = threading.Lock()
        self._closing = False
        self._process = None
        self._start()
        self._supervisor = threading.Thread(target=self._supervise)
        self._supervisor.start()

    def _start(self):
        with open(self.log_file, "ab") as log:
            log.write("--- start: "
                      f"{' '.join(self.arguments)}\n".encode())
            log.flush()
            self.started_at = time.monotonic()
            self._process = subprocess.Popen(
                self.host.command(*self.arguments), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
            )

    def _supervise(self):
        while True:
            code = self._process.wait()
            with self._lock:
                if self._closing:
                    return
            with open(self.log_file, "ab") as log:
                log.write(f"--- ended with {code}\n".encode())
            time.sleep(RESTART_DELAY)
            with self._lock:
                if self._closing:
                    return
                self._start()
                # Last: who counts starts then reads when the last one was.
                self.exit_codes.append(code)

    @property
    def num_starts(self):
        return len(self.exit_codes) + 1

    @property
    def pid(self):
        return self._process.pid

    def signal(self, number):
        with self._lock:
            self._process.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)

    def metric(self, name, **labels):
        """The sum of its samples of `name` that carry `labels`."""
        return total(scrape(self.metrics_address, timeout=5), name, **labels)

    def log(self, num_lines=None):
        lines = self.log_file.read_text(errors="replace").splitlines()
        return "\n".join(lines[-num_lines:] if num_lines else lines)

    def close(self):
        with self._lock:
            self._closing = True
            # SIGKILL ends what is stopped, too.
            self._process.kill()
        self._supervisor.join()
