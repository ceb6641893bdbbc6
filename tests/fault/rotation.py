"""When groups are in the router's rotation, watched all the time."""

import http.client
import re
import threading
import time

POLL_INTERVAL = 0.02  # seconds
_HEALTH = re.compile(
    rb'^blockserve_router_worker_health\{.*?worker="([^"]*)".*\} (\S+)$',
    re.MULTILINE,
)


class RotationWatch:
    """Asks the router every 20 ms which groups take requests.

    A change is known at the end of the poll that saw it, so figures are never
    too small. Thread-safe.
    """

    def __init__(self, rig):
        self._address = rig.router.metrics_address
        # As the router calls them: in the order of its list.
        self._names = {f"worker-{i}": group.name
                       for i, group in enumerate(rig.groups)}
        self._changed = threading.Condition()
        self._changes = {group.name: [] for group in rig.groups}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.longest_poll = 0.0
        self._thread.start()

    def _run(self):
        last = time.monotonic()
        while not self._ending.wait(POLL_INTERVAL):
            try:
                connection = http.client.HTTPConnection(
                    self._address, timeout=5
                )
                connection.request("GET", "/metrics")
                text = connection.getresponse().read()
                connection.close()
            except OSError:
                continue  # a router that starts
            now = time.monotonic()
            self.longest_poll = max(self.longest_poll, now - last)
            last = now
            with self._changed:
                for worker, value in _HEALTH.findall(text):
                    changes = self._changes[self._names[worker.decode()]]
                    healthy = float(value) == 1
                    if not changes or changes[-1][1] != healthy:
                        changes.append((now, healthy))
                        self._changed.notify_all()

    def wait_for(self, group, healthy, since, seconds):
        """Seconds from `since`, a time.monotonic(), until `group` first was in
        rotation (`healthy`) or out of it; at most `seconds`, else None."""
        def found():
            changes = self._changes[group.name]
            current = [h for t, h in changes if t <= since][-1:]
            if current == [healthy]:
                return since
            later = [t for t, h in changes if t > since and h == healthy]
            return later[0] if later else None

        timeout = since + seconds - time.monotonic()
        with self._changed:
            at = self._changed.wait_for(found, max(0.0, timeout))
        return None if at is None or at - since > seconds else at - since

    def dips(self, group, since):
        """How often `group` left the rotation after `since`."""
        with self._changed:
            return sum(t > since and not healthy
                       for t, healthy in self._changes[group.name])

    def close(self):
        self._ending.set()
        self._thread.join()
