"""The part of the state that layer 1 writes: baselines, pins, runs, what the judge said. Appended, each once."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import delete, func, insert, select

from detent.errors import Conflict
from detent.store.alone import take_turns
from detent.store.database import Database, insert_missing, upsert
from detent.store.schema import baselines, calibrations, judgements, pins, runs, shadow_sums
from detent.terms import Baseline, Calibration, Judgement, Pin, RecordedExchange, Run, Version, micros

# Built at import, as in state.py: threads that work a dataclass out at once crash the process.
_BASELINE, _RUN = msgspec.json.Decoder(Baseline), msgspec.json.Decoder(Run)
_PIN, _RECORDED = msgspec.json.Decoder(Pin), msgspec.json.Decoder(RecordedExchange)
_JUDGEMENT, _CALIBRATION = msgspec.json.Decoder(Judgement), msgspec.json.Decoder(Calibration)


class Findings:
    """Baselines and runs. Adding what is there already changes nothing, so that a runner may begin again after a crash."""

    _db: Database

    def put_baseline(self, baseline: Baseline, *, instead_of: str | None = None) -> None:
        """Freeze a baseline; the newest of a route is the one in force.

        `instead_of` is the digest of the one it was made from: raises Conflict when another one is in force by now.
        """
        body = msgspec.json.encode(baseline).decode()
        with self._db.write() as c:
            take_turns(c, f"baseline of {baseline.route}")
            newest = select(baselines.c.digest).where(baselines.c.route == baseline.route).order_by(baselines.c.id.desc()).limit(1)
            if instead_of is not None and (found := c.scalar(newest)) != instead_of:
                raise Conflict(f"another baseline of route {baseline.route} is in force by now: `{found}`", hint="load again")
            c.execute(insert(baselines).values(route=baseline.route, digest=baseline.digest, body=body))

    def baseline(self, route: str) -> Baseline | None:
        """The baseline in force on a route."""
        query = select(baselines.c.body).where(baselines.c.route == route).order_by(baselines.c.id.desc()).limit(1)
        with self._db.read() as c:
            body = c.scalar(query)
        return None if body is None else _BASELINE.decode(body)

    def put_pin(self, pin: Pin, recorded: RecordedExchange) -> None:
        """Keep an exchange as an incident of its route; a second pin of the same exchange replaces the first."""
        body, copy = msgspec.json.encode(pin).decode(), msgspec.json.encode(recorded).decode()
        row = {"route": pin.route, "exchange": pin.exchange, "at_us": micros(pin.at), "body": body, "recorded": copy}
        with self._db.write() as c:
            upsert(c, pins, [row])

    def drop_pin(self, route: str, exchange: str) -> bool:
        """Let go of an incident; whether it was there."""
        with self._db.write() as c:
            return c.execute(delete(pins).where(pins.c.route == route, pins.c.exchange == exchange)).rowcount > 0

    def pins(self, route: str) -> list[tuple[Pin, RecordedExchange]]:
        """The incidents of a route, oldest first."""
        query = select(pins.c.body, pins.c.recorded).where(pins.c.route == route).order_by(pins.c.at_us, pins.c.exchange)
        with self._db.read() as c:
            return [(_PIN.decode(row.body), _RECORDED.decode(row.recorded)) for row in c.execute(query)]

    def add_judgements(self, new: Sequence[Judgement]) -> None:
        """Keep what the judge said; an answer to the same question that is there already stays."""
        rows = [{"id": j.id, "digest": j.digest, "body": msgspec.json.encode(j).decode()} for j in new]
        with self._db.write() as c:
            insert_missing(c, judgements, rows)

    def judgements(self, ids: Collection[str]) -> dict[str, Judgement]:
        """What the judge said to these questions, as far as they were asked."""
        wanted, found = sorted(ids), dict[str, Judgement]()
        with self._db.read() as c:
            for start in range(0, len(wanted), 500):
                query = select(judgements.c.id, judgements.c.body).where(judgements.c.id.in_(wanted[start : start + 500]))
                found.update({row.id: _JUDGEMENT.decode(row.body) for row in c.execute(query)})
        return found

    def put_calibration(self, calibration: Calibration) -> None:
        """Keep a calibration; the newest of a judge and digest is the one in force."""
        body = msgspec.json.encode(calibration).decode()
        with self._db.write() as c:
            c.execute(insert(calibrations).values(judge=str(calibration.judge), digest=calibration.digest, body=body))

    def calibration(self, judge: Version, digest: str) -> Calibration | None:
        """The calibration in force of a judge with one rubric and prompt form."""
        of_judge = select(calibrations.c.body).where(calibrations.c.judge == str(judge), calibrations.c.digest == digest)
        with self._db.read() as c:
            body = c.scalar(of_judge.order_by(calibrations.c.id.desc()).limit(1))
        return None if body is None else _CALIBRATION.decode(body)

    def findings_mark(self, rollout: str, route: str) -> tuple[int, int, int]:
        """Changes whenever the baseline in force, the runs or the folded pairs of a rollout do: cheaper to ask for than those."""
        newest = select(func.max(baselines.c.id)).where(baselines.c.route == route)
        made = select(func.count()).select_from(runs).where(runs.c.rollout == rollout)
        folded = select(shadow_sums.c.mark).where(shadow_sums.c.rollout == rollout)
        with self._db.read() as c:
            return (c.scalar(newest) or 0, c.scalar(made) or 0, c.scalar(folded) or 0)

    def add_runs(self, new: Sequence[Run]) -> None:
        """Keep baseline runs; one that is there already (rollout, case, arm, stage, repeat) stays as it is."""
        rows = [
            {
                "rollout": run.rollout,
                "case": run.case,
                "arm": run.arm.value,
                "stage": run.stage,
                "repeat": run.repeat,
                "body": msgspec.json.encode(run).decode(),
            }
            for run in new
        ]
        with self._db.write() as c:
            insert_missing(c, runs, rows)

    def runs(self, rollout: str) -> list[Run]:
        """All baseline runs of a rollout, by case, arm, stage and repeat."""
        query = select(runs.c.body).where(runs.c.rollout == rollout).order_by(runs.c.case, runs.c.arm, runs.c.stage, runs.c.repeat)
        with self._db.read() as c:
            return [_RUN.decode(body) for body in c.scalars(query)]
