"""On which processors a process runs."""

import os
from collections.abc import Sequence

from voxfleet.errors import SettingsError


def stay_on(cores: Sequence[int]) -> None:
    """From now on this process, its threads and what it starts run on these processors alone; none = on any.

    Raises SettingsError where they are not there, or where the system can't do it.
    """
    if not cores:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise SettingsError("'cores' needs Linux: this system does not keep processes on processors")
    try:
        os.sched_setaffinity(0, cores)
    except (OSError, ValueError):
        ours = sorted(os.sched_getaffinity(0))
        raise SettingsError(f"'cores' names {list(cores)}, the processors we may use are {ours}") from None
    if missing := set(cores) - os.sched_getaffinity(0):
        raise SettingsError(f"'cores' names {sorted(missing)}, which are no processors we may use")
