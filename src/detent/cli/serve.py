"""`serve` and `gateway`: the servers."""

from __future__ import annotations

import os
import socket
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from detent.cli import place
from detent.cli.command import Command, Option, option
from detent.cli.listening import listeners, refuse_unfit
from detent.errors import CouldNotRun, Exit

if TYPE_CHECKING:
    from detent.serve.place import Place
    from detent.store import Store
    from detent.terms import FlagSet, Manifest, Server

NAME: Option = option("--name", says="this gateway's name; by default host and data port", metavar="NAME")
DATA: Option = option("--data", says="data listener, host:port, instead of the pin file's", metavar="ADDRESS")
CONTROL: Option = option("--control", says="control listener, host:port, instead of the pin file's", metavar="ADDRESS")


def serve(arguments: Namespace) -> int:
    """Gateway, control listener, ingester, controller and workers in one process."""
    return _run(arguments, decides=True)


def gateway(arguments: Namespace) -> int:
    """A gateway alone; another process (`detent controller` or `serve`) decides. Without the store it serves the last flags it knew."""
    return _run(arguments, decides=False)


def _run(arguments: Namespace, *, decides: bool) -> int:
    from detent import manifest as pin_file
    from detent.flags import static
    from detent.serve import address_of, listen, run
    from detent.serve.place import Place
    from detent.store.database import parse_url
    from detent.untold import untold

    text = place.read_text(arguments)
    manifest = pin_file.read(text, file=arguments.file)
    server = _server(arguments, manifest)
    url = parse_url(place.store_url(arguments))
    state = Path(str(url.database))
    files = (state, state.with_name("journal.db")) if url.get_backend_name() == "sqlite" else ()
    left = place.left_of_store(arguments)  # before this process leaves something itself: on a new host a gateway makes its spool first
    first = [left is None or (decides and place.begins_anew(arguments))]

    def opened() -> Store:
        """Made where there never was one, once: what goes away later is gone."""
        store = place.open_store(arguments, create=True, anew=first[0])
        first[0] = False
        return store

    data = listen(server.data)
    control = listen(server.control) if decides else None
    name = arguments.name or f"{socket.gethostname()}-{data.getsockname()[1]}"
    where = Place(opened, place.home(arguments), name, files=files, url=place.store_url(arguments))
    if decides:
        _apply_the_first(arguments, where, text)

    def ready(flags: FlagSet) -> None:
        with_control = f", control on http://{address_of(control)}" if control else ""
        print(f"listening on http://{address_of(data)}{with_control}", flush=True)
        _greet(flags, f"http://{address_of(data)}")
        if decides and (nobody := untold(flags.manifest.notify, os.environ, of_server=True)) is not None:
            _say(nobody)

    run(where, data=data, control=control, fallback=static(manifest), clients_env=server.clients_env, ready=ready)
    return Exit.PASS


def _server(arguments: Namespace, manifest: Manifest) -> Server:
    """The pin file's listeners, or the command line's under the same rules, with their client keys. Raises InvalidInput and CouldNotRun."""
    server = listeners(manifest, data=arguments.data, control=getattr(arguments, "control", None))
    refuse_unfit(arguments.name, "gateway")
    if server.clients_env is not None and not os.environ.get(server.clients_env, "").strip(", "):
        raise CouldNotRun(
            f"no client keys: `{server.clients_env}` is empty or not set, and clients_env says that clients need one",
            hint=f"{server.clients_env}=KEY1,KEY2 detent ...; without clients_env everybody on this machine may come in",
        )
    return server


def _apply_the_first(arguments: Namespace, where: Place, text: str) -> None:
    """Apply the pin file to a store that has none yet; say so if it differs from the one applied. Without a store `run` has its say."""
    from detent.controller import apply

    try:
        store = where.store()
        applied = store.state.manifest_text()
    except CouldNotRun:
        return
    if applied is None:
        apply(
            store,
            text,
            file=arguments.file,
            by=place.actor(arguments, store, "apply"),
            now=place.now(),
            new_id=place.new_rollout_id,
            new_salt=place.new_salt,
        )
    elif applied.text != text:
        _say(
            f"`{arguments.file}` differs from what was applied {applied.at:%Y-%m-%d %H:%M} UTC, which goes on being served\n"
            "hint: see what would change with `detent plan`, then run `detent apply`"
        )


def _greet(flags: FlagSet, url: str) -> None:
    """What a first-time user needs to know: which versions are served, how an app gets there, and which keys are missing."""
    for name, route in sorted(flags.manifest.routes.items()):
        flag = flags.flags.get(name)
        _say(f"{name} is served by {flag.stable if flag else route.stable}")
    _say(f"an app needs base_url {url}/v1 (anthropic SDK: {url}) and a route's name as its model; Ctrl-C ends the server")
    for provider in flags.manifest.providers.values():
        if provider.key_env is not None and not os.environ.get(provider.key_env):
            _say(f"`{provider.key_env}` is not set: provider {provider.name} gets the caller's own key, and baseline runs have none")


def _say(message: str) -> None:
    from detent.talk import stamp

    begins = stamp(place.now())
    for line in message.splitlines():
        print(f"{begins}{line if line.startswith('hint:') else f'detent: {line}'}", file=sys.stderr, flush=True)


COMMANDS: tuple[Command, ...] = (
    Command(
        name="serve",
        says="run gateway, control listener and controller in one process",
        group="servers",
        run=serve,
        options=(*place.PLACE, NAME, DATA, CONTROL, place.NEW_STORE, place.BY),
        more="Of all `serve` and `controller` on one store one decides; the others stand by and follow.",
    ),
    Command(
        name="gateway",
        says="run a gateway alone, on the same store",
        group="servers",
        run=gateway,
        options=(*place.PLACE, NAME, DATA),
        more="What it knows is written to its own disk. With --store postgresql://... a process beside it reads that into the store; with\n"
        "an embedded store the `detent serve` or `detent controller` of the same host does.",
    ),
)
