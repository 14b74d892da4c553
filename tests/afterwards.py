"""What must hold after everybody was killed, checked by what others than Detent took down: callers, spools as they were written, triggers.

Each function gives sentences, one for each thing that is not as it must be.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from detent.recompute import replay
from detent.store import open_store
from keepsakes import Written
from killing import Ask, Site
from rolling import Clerk, Operator
from slots import PATIENCE_S, wait
from witnesses import rows

LEASE_S = 5.0
MATURES_US = 1_500_000

LATE_S = 1.0
"""How long after the last byte a caller may notice it, on a busy machine: a kill in that time may have been before it."""

LEGAL = {
    "proposed": {"baseline", "canary", "aborted"},
    "baseline": {"shadow", "rejected", "aborted", "void"},
    "shadow": {"canary", "rejected", "not_proved", "aborted", "void"},
    "canary": {"soak", "rolled_back", "not_proved", "aborted", "void"},
    "soak": {"done", "rolled_back", "aborted", "void"},
}
"""Section 7 of the design, as a table: the phases that may follow each."""

# ── until all is read ───────────────────────────────────────────────────────────────────────────────────────────────


def units_of(written: Written) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The legs of each unit that counts, the first of them first."""
    found = defaultdict(list)
    for intent in written.intents.values():
        if intent["rollout"] is not None and intent["randomised"] and intent["role"] != "mirrored":
            found[intent["rollout"], intent["unit"]].append(intent)
    return {key: sorted(legs, key=lambda intent: intent["at_us"]) for key, legs in found.items()}


def settled(site: Site, written: Written) -> list[str]:
    """Waits until all is read and every unit sealed; says what never came."""
    wanted = len(units_of(written))

    def read() -> bool:
        (legs,) = rows(site.url, "SELECT count(*) AS n, count(*) FILTER (WHERE outcome IS NULL) AS pending FROM legs")
        (sealed,) = rows(site.url, "SELECT coalesce(sum(n), 0) AS n FROM label_counts WHERE guard = 'error'")
        return bool(legs["n"] >= len(written.intents) and legs["pending"] == 0 and sealed["n"] >= wanted)

    try:
        wait(read, f"all {len(written.intents)} legs with their results and all {wanted} units in the store")
    except AssertionError as error:
        return [f"after {PATIENCE_S:.0f} s: {error}"]
    return []


def all_that_is_wrong(site: Site, written: Written, operator: Operator, clerk: Clerk) -> list[str]:
    """All of it."""
    checks: tuple[Callable[[], Iterator[str]], ...] = (
        lambda: of_callers(site, written),
        lambda: of_the_journal(site, written),
        lambda: of_the_sums(site, written),
        lambda: of_the_labels(site, written),
        lambda: of_the_phases(site),
        lambda: of_the_split(site, written),
        lambda: of_the_time_after(site, operator),
        lambda: of_the_log(site, operator, clerk),
        lambda: of_decisions(site),
        lambda: of_processes(site),
    )
    return [wrong for check in checks for wrong in check()]


# ── callers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def of_callers(site: Site, written: Written) -> Iterator[str]:
    """Who was answered is on record; who was not had asked a gateway that was killed meanwhile."""
    complete = defaultdict(set)
    for leg, result in written.results.items():
        if leg in written.intents and result["outcome"] == "complete":
            complete[written.intents[leg]["exchange"]].add(result.get("answered_model"))
    known = {intent["exchange"] for intent in written.intents.values()}
    for ask in site.asks:
        answer = ask.answer
        if answer is None:
            if not site.slots[ask.gateway].was_down(ask.began_s, ask.ended_s):
                yield f"a request at {ask.gateway} was not answered, and nobody killed it: {ask.error}"
        elif answer.status != 200:
            yield f"a request at {ask.gateway} was answered with {answer.status}: {answer.text[:200]}"
        elif answer.exchange not in known:
            yield f"{answer.exchange} was answered by {ask.gateway} and is in no spool"
        elif answer.model not in complete[answer.exchange] and not _killed_at_its_end(site, ask):
            said = complete[answer.exchange]
            yield f"{answer.exchange} was answered by {answer.model} at {ask.gateway}, and its spool says: {said}"


def _killed_at_its_end(site: Site, ask: Ask) -> bool:
    """A result is written in the loop turn of the last byte, just after it: a kill may fall between the two."""
    return any(ask.began_s <= down.from_s <= ask.ended_s + LATE_S for down in site.slots[ask.gateway].downs if down.killed)


# ── records ─────────────────────────────────────────────────────────────────────────────────────────────────────────

COMPARED = (
    "exchange",
    "at_us",
    "gateway",
    "revision",
    "rollout",
    "period",
    "role",
    "arm",
    "arm_served",
    "why",
    "randomised",
    "unit",
    "model",
)


def of_the_journal(site: Site, written: Written) -> Iterator[str]:
    """Every leg that was spooled is there once, as it was spooled, with its result; and no other is."""
    for leg in written.twice:
        yield f"leg {leg} was spooled twice"
    stored = rows(site.url, f"SELECT leg, outcome, result_us, {', '.join(COMPARED)} FROM legs")
    for leg, n in Counter(row["leg"] for row in stored).items():
        if n > 1:
            yield f"leg {leg} is in the journal {n} times"
    by_leg = {row["leg"]: row for row in stored}
    for leg in by_leg.keys() - written.intents.keys():
        yield f"leg {leg} is in the journal and was never spooled"
    for leg, intent in written.intents.items():
        row, result = by_leg.get(leg), written.results.get(leg)
        if row is None:
            yield f"leg {leg} was spooled and is not in the journal"
            continue
        for name in COMPARED:
            if row[name] != intent[name]:
                yield f"leg {leg}: {name} was spooled as {intent[name]!r} and is {row[name]!r} in the journal"
        outcome = "lost" if result is None else result["outcome"]
        if row["outcome"] != outcome:
            yield f"leg {leg} ended as {outcome} and is {row['outcome']} in the journal"
        elif result is not None and row["result_us"] != result["at_us"]:
            yield f"leg {leg} ended at {result['at_us']} and at {row['result_us']} in the journal"


def of_the_sums(site: Site, written: Written) -> Iterator[str]:
    """Minute sums have every leg once."""
    sums = [added for _, added in site.place.store.state.minute_sums("chat")]
    if (legs := sum(one.legs for one in sums)) != len(written.intents):
        yield f"{len(written.intents)} legs were spooled, and minute sums have {legs}"
    outcomes = sum((Counter(one.outcomes) for one in sums), Counter[str]())
    known = Counter(result["outcome"] for leg, result in written.results.items() if leg in written.intents)
    known += Counter({"lost": len(written.intents.keys() - written.results.keys())})
    if outcomes != known:
        yield f"legs ended as {dict(known)}, and minute sums have {dict(outcomes)}"


def of_the_labels(site: Site, written: Written) -> Iterator[str]:
    """Every unit bets once, for the arm and in the period of its first leg; one of a single leg that ended in time bets what that says."""
    bets: Counter[tuple[str, int, str]] = Counter()
    least: Counter[tuple[str, int, str]] = Counter()
    most: Counter[tuple[str, int, str]] = Counter()
    for (rollout, _), legs in units_of(written).items():
        cell = rollout, legs[0]["period"], legs[0]["arm"]
        bets[cell] += 1
        failed = _failed(legs, written)
        least[cell] += failed is True
        most[cell] += failed is not False
    stored = rows(site.url, "SELECT rollout, period, arm, bucket, sum(n) AS n FROM label_counts WHERE guard = 'error' GROUP BY 1, 2, 3, 4")
    there, bad = Counter[tuple[str, int, str]](), Counter[tuple[str, int, str]]()
    for row in stored:
        cell = row["rollout"], row["period"], row["arm"]
        there[cell] += int(row["n"])
        # 1 said that it failed; of 3 nothing was said by its maturity, which counts as a failure too: a leg that was still under way then,
        # at a gateway that was killed later.
        bad[cell] += int(row["n"]) if row["bucket"] in (1, 3) else 0
    for cell in there.keys() | bets.keys():
        if there[cell] != bets[cell]:
            yield f"{bets[cell]} units of {cell} were met, and {there[cell]} bet"
        elif not least[cell] <= bad[cell] <= most[cell]:
            yield f"between {least[cell]} and {most[cell]} units of {cell} failed, and {bad[cell]} bet so"


def _failed(legs: list[dict[str, Any]], written: Written) -> bool | None:
    """Whether a unit failed by its guard's maturity; None where that hangs on when it was looked at."""
    own = [leg for leg in legs if leg["role"] == "served"]
    if len(own) > 1:
        return None
    result = written.results.get(own[0]["leg"])
    if result is None:
        return True
    if result["at_us"] - own[0]["at_us"] > MATURES_US / 2:
        return None
    return bool(result["outcome"] != "complete")


# ── rollouts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def of_the_phases(site: Site) -> Iterator[str]:
    """No phase follows another that it may not, no write was lost or made twice, and the audit log has each of them."""
    history = defaultdict(list)
    for row in rows(site.url, "SELECT id, before, after FROM witness_rollouts ORDER BY n"):
        before, after = (json.loads(row["before"]) if row["before"] else None), json.loads(row["after"])
        history[row["id"]].append(after)
        if before is None:
            continue
        move = f"{row['id']}: {before['phase']} {before['step']} -> {after['phase']} {after['step']}"
        if before["phase"] != after["phase"]:
            if after["phase"] not in LEGAL.get(before["phase"], ()):
                yield f"{move} is no legal transition"
        elif before["phase"] not in LEGAL:
            yield f"{move}: written after its end"
        elif after["step"] not in (before["step"], before["step"] + 1):
            yield f"{move} leaves a step out"
        if after["revision"] != before["revision"] + 1 or not 0 <= after["period"] - before["period"] <= 1:
            yield f"{move}: revision {before['revision']} -> {after['revision']}, period {before['period']} -> {after['period']}"
        if after["split"] and after["phase"] not in ("canary", "soak"):
            yield f"{move} leaves a split of {after['split']}"
    for id, written in history.items():
        logged = [json.loads(row.after or "{}").get("rollout") or {} for row in site.place.store.state.audit(None, rollout=id)[::-1]]
        phases = [entry["phase"] for entry in logged if "phase" in entry]
        moves = [phase for n, phase in enumerate(one["phase"] for one in written) if n == 0 or phase != written[n - 1]["phase"]]
        if phases != moves:
            yield f"{id} went through {moves}, and the audit log has {phases}"
        if len([entry for entry in logged if "revision" in entry]) != len(written):
            yield f"{id} was written {len(written)} times, and the audit log has {len(logged)} entries"


def of_the_split(site: Site, written: Written) -> Iterator[str]:
    """After the flag that ends a rollout nobody is on its candidate: no gateway that has said so, and none at all after a lease."""
    flags = [
        (row["revision"], row["at"].timestamp(), json.loads(row["body"]))
        for row in rows(site.url, "SELECT * FROM witness_flags ORDER BY n")
    ]
    acks = rows(site.url, "SELECT gateway, revision, applied_us FROM acks")
    for rollout in site.place.store.state.rollouts():
        last = max(n for n, (_, _, flag) in enumerate(flags) if flag["rollout"] == rollout.id)
        if last + 1 == len(flags):
            yield f"{rollout.id} never ended: {rollout.phase}"
            continue
        end, ended_s, _ = flags[last + 1]
        heard: dict[str, int] = {}
        for ack in acks:
            if ack["revision"] >= end:
                heard[ack["gateway"]] = min(ack["applied_us"], heard.get(ack["gateway"], ack["applied_us"]))
        for intent in written.intents.values():
            if intent["rollout"] != rollout.id or intent["arm_served"] != "candidate" or intent["role"] == "mirrored":
                continue
            if intent["revision"] >= end:
                yield f"leg {intent['leg']} is on the candidate of {rollout.id} by revision {intent['revision']}, and it ended with {end}"
            if intent["at_us"] > heard.get(intent["gateway"], intent["at_us"]):
                late = (intent["at_us"] - heard[intent["gateway"]]) / 1000
                yield f"leg {intent['leg']} is on the candidate of {rollout.id} {late:.1f} ms after {intent['gateway']} had said it ended"
            if intent["at_us"] / 1e6 > ended_s + LEASE_S:
                yield f"leg {intent['leg']} is on the candidate of {rollout.id} {intent['at_us'] / 1e6 - ended_s:.1f} s after its end"


def of_the_time_after(site: Site, operator: Operator) -> Iterator[str]:
    """Callers who asked after every gateway had acknowledged the end got the one version that is left."""
    for time in operator.on_one:
        for ask in site.asks:
            if time.from_s <= ask.began_s and ask.ended_s <= time.until_s and ask.answer is not None and ask.answer.model != time.model:
                yield f"{ask.answer.exchange} at {ask.gateway} got {ask.answer.model} after the end of {time.rollout}, {time.model} serves"


def of_the_log(site: Site, operator: Operator, clerk: Clerk) -> Iterator[str]:
    """The audit chain holds, from the first entry on; it has every head that was noted meanwhile, and all that it said it has, once."""
    found = site.place.store.state.verify_audit(operator.heads)
    if found.bad is not None:
        yield f"audit entry {found.bad} does not hold: {found.why}"
    there = Counter(row["what"] for row in rows(site.url, "SELECT what FROM audit WHERE by = 'clerk'"))
    for what in clerk.noted:
        if there[what] != 1:
            yield f"`{what}` was written to the audit log, and is there {there[what]} times"
    if not operator.heads:
        yield "no head of the audit log was ever noted"


def of_decisions(site: Site) -> Iterator[str]:
    """Every decision recomputes to what it was."""
    with closing(open_store(site.url)) as store:
        for rollout in store.state.rollouts():
            for one in replay(store.state.decided(rollout.id)):
                if not (one.same or one.by_hand):
                    yield f"{rollout.id}: {one.decision.verb} {one.decision.reason} recomputes to {one.again}: {one.why}"


def of_processes(site: Site) -> Iterator[str]:
    """Nobody fell over by itself."""
    for slot in site.slots.values():
        yield from slot.ended_by_itself
    for place in site.places.values():
        for process in place.processes:
            if "Traceback" in (talk := process.talk):
                yield f"a traceback: {talk[talk.index('Traceback') :][:3000]}"
