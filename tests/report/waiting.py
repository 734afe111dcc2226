"""Patience with a page: what it shows is waited for."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

PATIENCE = 60.0  # seconds; a busy machine is no failure

Value = TypeVar("Value")


def waited_for(page: Any, read: Callable[[], Value], holds: Callable[[Value], bool]) -> Value:
    """What `read` gives once it holds; the last reading where it never does, for the test to show.

    For what Playwright's `expect` has no word for.
    """
    end = time.monotonic() + PATIENCE
    while not holds(value := read()) and time.monotonic() < end:
        page.wait_for_timeout(50)
    return value
