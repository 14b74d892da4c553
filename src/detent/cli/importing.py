"""`import --check`: what files of recorded traffic hold; and the way in for commands that draw from such files."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detent.cli import stdout
from detent.cli.command import Command, Option, option
from detent.cli.progress import bar
from detent.errors import CouldNotRun, Exit, InvalidInput

if TYPE_CHECKING:
    from detent.baseline.sources import Progress
    from detent.formats import Source, Tally
    from detent.terms import RecordedExchange, RefusedRow

CHUNK = 1024 * 1024
PARQUET_ROWS = 32
"""Rows that are unpacked at once: a Parquet file may say much with few bytes."""
MOST_COLUMN_BYTES = 1024**3
"""Unpacked bytes of one column in one row group."""
MOST_NAMED = 20
SHOWN_MODELS = 8

FORM: Option = option("--form", says="the files' form; by default each is recognised", default="auto", metavar="NAME")
COLUMN: Option = option(
    "--column",
    says="which column or member holds what, like prompt=question; may be given again",
    action="append",
    default=[],
    metavar="OURS=THEIRS",
)
MODEL: Option = option("--model", says="only exchanges that this model was asked for or answered", metavar="ID")


def columns_of(pairs: Sequence[str]) -> dict[str, str]:
    """The column map of `--column` options. Raises InvalidInput for one that is no `ours=theirs`, and for an unknown `ours`."""
    from detent.formats import check_columns

    columns: dict[str, str] = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not equals or not ours or not theirs:
            raise InvalidInput(f"no column map: `{_visible(pair)}`", hint="write --column prompt=question: our name, then the file's")
        columns[ours.strip()] = theirs.strip()
    check_columns(columns)
    return columns


def exchanges(
    paths: Sequence[str],
    *,
    form: str = "auto",
    columns: Mapping[str, str] | None = None,
    model: str | None = None,
    skip_bad: bool = False,
    refused: Callable[[RefusedRow], None] | None = None,
) -> Iterator[RecordedExchange]:
    """The exchanges of files, in order, one at a time.

    Without `skip_bad` the files are read twice: once here, before anything is returned, so that whoever stores what comes knows that no
    broken row will come; then as the iterator goes. Raises InvalidInput, by `file:line: reason: detail`, for up to 20 broken rows, and
    for files without any usable exchange. With `skip_bad` they are read once, and broken rows are left out.

    `refused` hears of every row that is left out, broken or only no chat call; where it is None a line on stderr counts them at the end.
    """
    if not skip_bad:
        _refuse_broken(paths, form, columns, model)
    return _usable(paths, form, columns, model, refused)


def _refuse_broken(paths: Sequence[str], form: str, columns: Mapping[str, str] | None, model: str | None) -> None:
    from detent.formats import BROKEN, Tally, of_model, read_all
    from detent.terms import RefusedRow

    tally, named = Tally(), list[str]()
    with bar("reading") as progress:
        for found in read_all(_sources(paths, progress), form=form, columns=columns):
            if isinstance(found, RefusedRow):
                tally.refuse(found)
                if found.reason in BROKEN and len(named) < MOST_NAMED:
                    named.append(_row(found))
            else:
                tally.use(found, wanted=of_model(found, model))
    if tally.broken:
        more = [f"and {tally.broken - len(named)} more"] if tally.broken > len(named) else []
        raise InvalidInput(
            "\n".join([f"{tally.broken} broken {_rows(tally.broken)}:", *named, *more]),
            hint="mend them, or leave them out with --skip-bad; `detent import --check` counts them by reason",
        )
    if not tally.usable:
        raise _none_usable(paths, tally, model)


def _usable(
    paths: Sequence[str], form: str, columns: Mapping[str, str] | None, model: str | None, refused: Callable[[RefusedRow], None] | None
) -> Iterator[RecordedExchange]:
    from detent.formats import Tally, read_all
    from detent.terms import RefusedRow

    left_out = Tally()
    for found in read_all(_sources(paths), form=form, columns=columns, model=model):
        if not isinstance(found, RefusedRow):
            yield found
        elif refused is not None:
            refused(found)
        else:
            left_out.refuse(found)
    if left_out.rows:
        counts = ", ".join(f"{n} {reason}" for reason, n in left_out.refused.most_common())
        print(f"left out: {left_out.rows} {_rows(left_out.rows)} ({counts})", file=sys.stderr)


_LOOK = "`detent import --check` shows the first rows of each kind; --form names another form"


def _none_usable(paths: Sequence[str], tally: Tally, model: str | None, *, hint: str = _LOOK) -> InvalidInput:
    named = ", ".join(f"`{_visible(path)}`" for path in paths[:5])
    if tally.other_models and model is not None:
        models = ", ".join(f"`{_visible(name)}`" for name, _ in tally.models.most_common(MOST_NAMED))
        return InvalidInput(f"no exchange of model `{_visible(model)}`, in: {named}", hint=f"models there are {models}")
    counts = ", ".join(f"{n} {reason}" for reason, n in tally.refused.most_common()) or "no rows"
    return InvalidInput(
        f"no usable exchange, in: {named} ({counts})",
        hint=hint,
    )


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _silent(done: int, total: int | None) -> None:
    """Nobody is told how far the reading is."""


def _sources(paths: Sequence[str], progress: Progress = _silent) -> Iterator[Source]:
    """The files, each opened when its turn comes. Raises InvalidInput for one that is not there or no file."""
    from detent.formats import Source

    _check_there(paths)
    total, before = sum(Path(path).stat().st_size for path in paths), 0
    for path in paths:
        size, start = Path(path).stat().st_size, before

        def told(done: int, start: int = start) -> None:
            progress(start + done, total)

        if path.lower().endswith(".parquet"):
            yield Source(path, rows=_parquet(path, size, told))
        else:
            yield Source(path, chunks=_chunks(path, told))
        before += size


def _check_there(paths: Sequence[str]) -> None:
    """Raises InvalidInput for a path that is not there, or no file."""
    for path in paths:
        if not Path(path).exists():
            raise InvalidInput(f"no such file: `{_visible(path)}`", hint="name files of recorded traffic")
        if not Path(path).is_file():
            raise InvalidInput(f"not a file: `{_visible(path)}`", hint="name the files in it")


def _chunks(path: str, told: Callable[[int], None]) -> Iterator[bytes]:
    done = 0
    try:
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
                done += len(chunk)
                told(done)
    except OSError as error:
        raise CouldNotRun(f"cannot read `{_visible(path)}`: {error.strerror}") from None


def _parquet(path: str, size: int, told: Callable[[int], None]) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file, a few unpacked at a time."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise InvalidInput(
            f"Parquet needs a library that is not installed: `{_visible(path)}`",
            hint="uv pip install 'detent[parquet]', or export JSON Lines",
        ) from None
    try:
        with parquet.ParquetFile(path, buffer_size=CHUNK, pre_buffer=False) as file:
            _check_sizes(path, file.metadata)
            done, rows = 0, max(file.metadata.num_rows, 1)
            for batch in file.iter_batches(batch_size=PARQUET_ROWS, use_threads=False):
                for row in batch.to_pylist():
                    yield {name: _cell(value) for name, value in row.items()}
                done += batch.num_rows
                told(size * done // rows)
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise InvalidInput(f"not readable as Parquet: `{_visible(path)}` ({_visible(str(error))[:200]})", hint="export it again") from None


def _check_sizes(path: str, metadata: Any) -> None:
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        if any(row_group.column(number).total_uncompressed_size > MOST_COLUMN_BYTES for number in range(row_group.num_columns)):
            raise InvalidInput(
                f"a row group with a column of more than {MOST_COLUMN_BYTES // 2**30} GiB: `{_visible(path)}`",
                hint="export a shorter span of time",
            )


def _cell(value: Any) -> Any:
    """A cell as JSON has it: maps come as lists of pairs, bytes as they are."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list) and value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
        return {str(key): _cell(item) for key, item in value}
    return value


# ── import --check ──────────────────────────────────────────────────────────────────────────────────────────────────


def check(arguments: Namespace) -> int:
    """Say what the files hold. Writes nothing.

    Returns 0 when a freeze would take them as they are, 3 when it would need --skip-bad. Raises InvalidInput (2) when nothing is usable.
    """
    from detent.formats import Tally, of_model, read_all
    from detent.redaction import redact_exchange
    from detent.terms import RefusedRow

    if not arguments.check:
        _check_there(arguments.files)
        raise InvalidInput(
            "nothing is imported on its own", hint="`detent import --check FILE` looks; `detent baseline freeze ROUTE --from FILE` stores"
        )
    columns = columns_of(arguments.column)
    tally, forms = Tally(), dict[str, str]()
    with bar("reading") as progress:
        for found in read_all(_sources(arguments.files, progress), form=arguments.form, columns=columns, told=forms.__setitem__):
            if isinstance(found, RefusedRow):
                tally.refuse(found)
            else:
                wanted = of_model(found, arguments.model)
                tally.use(redact_exchange(found, "all") if wanted else found, wanted=wanted)
    if arguments.json:
        files = [{"file": file, "form": form} for file, form in forms.items()]
        stdout.put(json.dumps({"files": files} | tally.to_json(), indent=2) + "\n")
    else:
        stdout.put("\n".join(_told(tally, forms, arguments.model)) + "\n")
    if not tally.usable:
        raise _none_usable(arguments.files, tally, arguments.model, hint="--form names another form, --column where a table has what")
    return Exit.INCONCLUSIVE if tally.broken else Exit.PASS


def _told(tally: Tally, forms: dict[str, str], model: str | None) -> Iterable[str]:
    for file, form in forms.items():
        yield f"{_visible(file)}: {form}"
    yield f"rows: {tally.rows} read, {tally.usable} usable, {sum(tally.refused.values())} refused" + (
        f", {tally.other_models} of other models" if model is not None else ""
    )
    yield from _refusals(tally)
    models = tally.models.most_common()
    named = [f"{_visible(name)[:80] if name else '(not named)'} {n}" for name, n in models[:SHOWN_MODELS]]
    more = [f"{len(models) - SHOWN_MODELS} more"] if len(models) > SHOWN_MODELS else []
    yield f"models: {', '.join([*named, *more]) or 'none'}"
    span = f"{tally.since:%Y-%m-%d} to {tally.until:%Y-%m-%d}" if tally.since and tally.until else "none"
    yield f"dates: {span}" + (f"; {tally.undated} without" if tally.undated and tally.since else "")
    yield ", ".join(
        [
            f"with tools: {_share(tally.with_tools, tally.usable)}",
            f"multi-turn: {_share(tally.multi_turn, tally.usable)}",
            f"JSON asked: {_share(tally.json_asked, tally.usable)}",
            f"labelled: {_share(tally.labelled, tally.usable)}",
        ]
    )
    if tally.cut:
        yield f"answers that stopped at a limit or a filter: {tally.cut}; no check alone makes them known good"
    if tally.unanswered:
        yield f"without a recorded answer, only a reference: {tally.unanswered}"
    kinds = ", ".join(f"{n} {kind}" for kind, n in tally.redacted.most_common())
    yield f"would be redacted: {tally.redacted_in} exchanges" + (f" ({kinds})" if kinds else "")


def _refusals(tally: Tally) -> Iterator[str]:
    from detent.formats import REASONS

    for reason in REASONS:
        if not (n := tally.refused[reason.name]):
            continue
        yield f"  {n} {reason.name}: {reason.says}" + ("" if reason.broken else "; passed over")
        for row in tally.examples[reason.name]:
            yield f"    {_visible(row.where)}" + (f": {_visible(row.detail)}" if row.detail else "")


def _share(n: int, total: int) -> str:
    return f"{n} ({100 * n / total:.1f} %)" if total else "0"


def _row(row: RefusedRow) -> str:
    return ": ".join(_visible(part) for part in (row.where, row.reason, row.detail) if part)


def _rows(n: int) -> str:
    return "row" if n == 1 else "rows"


def _visible(text: str) -> str:
    from detent.visible import visible

    return visible(text.encode("utf-8", "backslashreplace").decode(), one_line=True)


COMMANDS: tuple[Command, ...] = (
    Command(
        name="import",
        says="say what files of recorded traffic hold, before anything is stored",
        group="baseline",
        run=check,
        options=(
            option("files", says="files of recorded traffic", nargs="+", metavar="FILE"),
            option("--check", says="look and count; write nothing", action="store_true"),
            FORM,
            COLUMN,
            MODEL,
            option("--json", says="print JSON", action="store_true"),
        ),
        more=(
            "Forms: OpenAI chat and batch JSON Lines, LiteLLM standard logging payloads, Langfuse observations_v2 (JSON Lines, JSON,\n"
            "Parquet), OTel GenAI spans (OTLP JSON), promptfoo YAML tests, CSV and JSON Lines with a column map.\n"
            "Exit codes: 0 a freeze takes the files as they are, 3 broken rows (it needs --skip-bad), 2 nothing usable."
        ),
    ),
)
