"""Whether a process has ended, for tests that stop some."""

import os
import time
from pathlib import Path


def is_gone(pid: int) -> bool:
    """Tell whether no process has this number, or only a dead one."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")  # an orphan may wait for its new parent
    try:
        return stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return False


def is_soon_gone(pid: int) -> bool:
    """Wait until a process has ended, but not for ever."""
    for _ in range(2000):
        if is_gone(pid):
            return True
        time.sleep(0.05)
    return False
