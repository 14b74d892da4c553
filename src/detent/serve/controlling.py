"""`detent controller`: all that `detent serve` runs but its gateway."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from detent.errors import CouldNotRun
from detent.serve.known_flags import KnownFlags
from detent.serve.listening import serve, server_of
from detent.serve.loops import Repeating, loops
from detent.serve.place import Place
from detent.talk import say
from detent.terms import FlagSet
from detent.web.control import Control

FLAGS_S = 0.5
"""How often it is looked whether the flags moved."""


def run(place: Place, *, control: socket.socket, fallback: FlagSet, ready: Callable[[FlagSet], None]) -> None:
    """Decide, or stand by, until SIGINT or SIGTERM. `ready` hears what is in force, once the control listener listens.

    Raises CouldNotRun where the home directory cannot be used, or where nothing was ever applied to the store; one that is away is waited
    for.
    """
    ending = threading.Event()
    known = KnownFlags(place.store, fallback)
    flags = Repeating("flags", known.step, FLAGS_S, ending=ending, failing={}, say=say)
    try:
        applied = place.store().state.manifest_text() is not None
    except CouldNotRun as error:
        say(f"detent controller: {error.message}; waiting for it")
        applied = True  # it is looked at again
    if not applied:
        raise CouldNotRun("no pin file was applied to this store: there is nothing to decide about", hint="apply one with `detent apply`")
    flags.once()
    beside = loops(place, lambda: known.current, ending=ending, say=say)
    flags.start()
    beside.start()
    try:
        server = server_of(Control(place.store, lambda: known.current), idle_s=0.0)
        serve([(server, control)], ready=lambda: ready(known.current), told=beside.resign)
    finally:
        ending.set()
        beside.end()
        flags.join()
        place.close()
