"""`detent sim provider | replay | traffic | log`: a provider that misbehaves on purpose or replays answers, traffic, and logs of it."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any, TypeVar

from detent.cli.command import Command, option
from detent.errors import Exit, InvalidInput
from detent.sim.scenarios import SCENARIOS

T = TypeVar("T")


def _run(main: Callable[[asyncio.Event], Coroutine[Any, Any, T]]) -> T:
    """Run to the end, on uvloop where there is one; the event is set by the first SIGINT or SIGTERM, a second one kills."""
    factory = None
    if os.name != "nt":
        import uvloop

        factory = uvloop.new_event_loop

    async def until_signalled() -> T:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def end() -> None:
            stop.set()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end)
        return await main(stop)

    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(until_signalled())


async def _serve(app: Any, port: int, stop: asyncio.Event) -> None:
    from detent.sim.provider import serving

    async with serving(app, port=port) as url:
        print(f"listening on {url}", flush=True)
        await stop.wait()


def provider(arguments: argparse.Namespace) -> int:
    """Serve the simulated versions until a signal."""
    from detent.sim.provider import Provider, quick, simulated
    from detent.sim.versions import VERSIONS

    app = Provider(simulated(arguments.seed), tuple(VERSIONS), delay=quick(arguments.seed))
    _run(lambda stop: _serve(app, arguments.port, stop))
    return Exit.PASS


def replay(arguments: argparse.Namespace) -> int:
    """Serve recorded answers until a signal. Raises InvalidInput for a broken file, naming the line."""
    from detent.compare import read_rows
    from detent.sim.provider import Provider
    from detent.sim.replay import Recording

    try:
        with open(arguments.file, "rb") as lines:
            recording = Recording(read_rows(lines, file=arguments.file))
    except OSError as failed:
        raise InvalidInput(f"cannot read records: `{arguments.file}` ({failed.strerror})", hint="give a file that you may read") from None
    print(f"detent sim replay: {recording!r}", file=sys.stderr)
    app = Provider(recording.answer, recording.versions)
    _run(lambda stop: _serve(app, arguments.port, stop))
    return Exit.PASS


def traffic(arguments: argparse.Namespace) -> int:
    """Run traffic against the gateways and print its summary as one line of JSON."""
    from detent.sim import traffic as generator

    if arguments.sessions is not None and arguments.seconds is not None:
        raise InvalidInput("--sessions and --seconds exclude each other", hint="give one, or neither to run until Ctrl-C")
    with _Progress(arguments) as on_session:
        summary = _run(
            lambda stop: generator.run(
                gateways=[url for url in arguments.gateway.split(",") if url],
                route=arguments.route,
                scenario=arguments.scenario,
                sessions=arguments.sessions,
                seconds=arguments.seconds,
                concurrency=arguments.concurrency,
                seed=arguments.seed,
                stop=stop,
                on_session=on_session,
            )
        )
    print(json.dumps(asdict(summary)), flush=True)
    return Exit.PASS


def log(arguments: argparse.Namespace) -> int:
    """Print recorded traffic of a simulated app."""
    from detent.sim.recording import record
    from detent.sim.versions import VERSIONS

    if arguments.version not in VERSIONS:
        raise InvalidInput(f"no simulated version: `{arguments.version}`", hint=f"versions: {', '.join(VERSIONS)}")
    for row in record(arguments.scenario, arguments.version, sessions=arguments.sessions, seed=arguments.seed):
        print(json.dumps(row, ensure_ascii=False))
    return Exit.PASS


class _Progress:
    """A line on stderr with sessions and calls so far; nothing when stderr is no terminal."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[calls]} calls"))
        console = Console(stderr=True)
        self._bar = Progress(*columns, TimeElapsedColumn(), console=console, transient=True, disable=not sys.stderr.isatty())
        self._task = self._bar.add_task(f"{arguments.scenario} sessions", total=arguments.sessions, calls=0)

    def __enter__(self) -> Callable[[int, int], None]:
        self._bar.start()
        return lambda sessions, calls: self._bar.update(self._task, completed=sessions, calls=calls)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


_PORT = option("--port", says="where to listen on 127.0.0.1; 0, the default, takes any free port", type=int, default=0)

COMMANDS: tuple[Command, ...] = (
    Command(
        name="sim provider",
        says="serve simulated versions, OpenAI and Anthropic alike: stable ones, bumps of them, ones with one harm each, and judges",
        group="simulation",
        run=provider,
        options=(_PORT, option("--seed", says="seed of all noise (default 1)", type=int, default=1)),
        more="Stable is `atlas-2026-03-01`. For scenario `library`, whose harms only a shadow sees, it is `atlas-2026-09-01`:\n"
        "`atlas-2026-09-15` is unchanged, and `atlas-2026-10-01` to `atlas-2026-10-08` each harm a few German readers.\n"
        "Other versions judge, for `detent judge`, each wrong in a known way. `GET /v1/models` lists all.",
    ),
    Command(
        name="sim replay",
        says="serve recorded answers as an OpenAI-compatible provider",
        group="simulation",
        run=replay,
        options=(
            option("file", says="recorded answers, one JSON object a line, as `detent compare` reads them", metavar="FILE.jsonl"),
            _PORT,
        ),
        more="An answer is found by version, messages and tools. Several records of one prompt are answered in turn.",
    ),
    Command(
        name="sim traffic",
        says="send sessions with the official SDKs, with users, turns, tools, streams and feedback",
        group="simulation",
        run=traffic,
        options=(
            option("--gateway", says="URL of the gateway; several, separated by commas, take turns by session", required=True),
            option("--route", says="the model name to ask for", required=True),
            option("--scenario", says="which app is speaking", choices=tuple(SCENARIOS), required=True),
            option("--sessions", says="how many sessions", type=_count),
            option("--seconds", says="for how long; without either, until Ctrl-C", type=float),
            option("--concurrency", says="sessions at a time (default 8)", type=_count, default=8),
            option("--seed", says="the same sessions again; without it their names are new in every run", type=int),
        ),
        more="\n".join(f"- `{s.name}`: {s.says}" for s in SCENARIOS.values()) + "\n\nPrints one line of JSON at the end.",
    ),
    Command(
        name="sim log",
        says="print recorded traffic of a simulated app, as another tool's log would hold it",
        group="simulation",
        run=log,
        options=(
            option("--scenario", says="which app is speaking", choices=tuple(SCENARIOS), required=True),
            option(
                "--version", says="which simulated version answered (default atlas-2026-03-01)", default="atlas-2026-03-01", metavar="ID"
            ),
            option("--sessions", says="how many sessions (default 300)", type=_count, default=300),
            option("--seed", says="seed of all noise (default 1)", type=int, default=1),
        ),
        more="One JSON object a line: id, created, session, request and response, as `detent baseline freeze --from FILE` reads them.",
    ),
)
