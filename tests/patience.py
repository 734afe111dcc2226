"""Patience with Ray on a busy machine, which is no failure."""

import subprocess
from typing import Any

TRIES = 5
TOO_LATE = ("node timed out during startup", "Ray has not started within its 30 seconds")


def run_patiently(command: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
    """Run what begins a Ray of its own; again where Ray gave up on a node that had not come up within 30 s.

    That limit of Ray's can't be set.
    """
    for _ in range(TRIES):
        done = subprocess.run(command, capture_output=True, text=True, check=False, **how)
        if not any(words in done.stderr for words in TOO_LATE):
            break
    return done
