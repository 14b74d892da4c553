"""A property that is worked out at its first use. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class once(Generic[T]):  # noqa: N801 - used like `property`
    """Like `functools.cached_property`, which takes a lock at each first use before Python 3.12: a third of the time of a short answer."""

    def __init__(self, work: Callable[[Any], T]) -> None:
        self.work = work
        self.name = work.__name__
        self.__doc__ = work.__doc__

    def __get__(self, of: Any, owner: object = None) -> T:
        value = self.work(of)
        setattr(of, self.name, value)  # not by way of `__dict__`: that alone would make a dict of every object that is asked
        return value
