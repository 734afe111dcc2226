"""An object in the place of a Ray actor, in this process."""

from types import SimpleNamespace
from typing import Any


class LocalActor:
    """Its methods are called as an actor's are; `ray.get` must be a function that gives back what it gets."""

    def __init__(self, there: Any):
        self._there = there

    def __getattr__(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(remote=getattr(self._there, name))
