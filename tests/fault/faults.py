"""What is done to one rank of a group, and undone."""

import abc
import signal
import time

from group_rig import STEP_TIMEOUT
from process import wait_until

# A dead process closes its connections; silence must be waited for.
KILL_LIMIT = 1.0  # seconds until the group is out of rotation
SILENCE_LIMIT = STEP_TIMEOUT + 0.5
# How long a silent rank stays so after its group was found out.
HOLD = 0.5


class Fault(abc.ABC):
    """One fault of `rank` in `group`."""

    name = None
    out_limit = None

    def __init__(self, rig, group, rank, repeat):
        self.rig = rig
        self.group = group
        self.rank = rank
        self.repeat = repeat

    def __str__(self):
        return f"{self.name} of {self.rank.name}"

    # Whether the group cannot be back until end().
    lasts = True

    @abc.abstractmethod
    def begin(self):
        """Returns the time.monotonic() at which it began."""

    @abc.abstractmethod
    def end(self):
        """Returns the time.monotonic() from which the group can be back."""


class Kill(Fault):
    """SIGKILL; the process is started again by its supervisor."""

    name = "kill"
    out_limit = KILL_LIMIT
    lasts = False

    def begin(self):
        self._starts = self.rank.num_starts
        began = time.monotonic()
        self.rank.kill()
        return began

    def end(self):
        wait_until(lambda: self.rank.num_starts > self._starts, 5,
                   f"restart of {self.rank.name}")
        return self.rank.started_at


class Stop(Fault):
    """SIGSTOP, and SIGCONT when the group was found out."""

    name = "stop"
    out_limit = SILENCE_LIMIT

    def begin(self):
        began = time.monotonic()
        self.rank.signal(signal.SIGSTOP)
        return began

    def end(self):
        time.sleep(HOLD)
        ended = time.monotonic()
        self.rank.signal(signal.SIGCONT)
        return ended


class Partition(Fault):
    """Packets between the rank and the others are lost, until healed."""

    out_limit = SILENCE_LIMIT

    def _others(self):
        """Whom the rank speaks with: its group, and the router if it leads."""
        others = [r.host for r in self.group.ranks if r is not self.rank]
        if self.rank is self.group.leader:
            others.append(self.rig.router.host)
        return others

    @abc.abstractmethod
    def _lost(self):
        """Pairs of sender and receiver."""

    def begin(self):
        began = time.monotonic()
        self.rig.hosts.lose(*self._lost())
        return began

    def end(self):
        time.sleep(HOLD)
        ended = time.monotonic()
        self.rig.hosts.heal()
        return ended


class OneWayPartition(Partition):
    """The rank is deaf in some repeats and mute in the others."""

    name = "one_way"

    @property
    def _deaf(self):
        return self.repeat // 2 % 2 == 0

    def __str__(self):
        return f"{super().__str__()}, {'deaf' if self._deaf else 'mute'}"

    def _lost(self):
        me = self.rank.host
        return [(other, me) if self._deaf else (me, other)
                for other in self._others()]


class TwoWayPartition(Partition):
    """The rank is deaf and mute."""

    name = "two_way"

    def _lost(self):
        me = self.rank.host
        return [pair for other in self._others()
                for pair in ((other, me), (me, other))]
