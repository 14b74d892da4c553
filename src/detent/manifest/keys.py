"""What each key of `detent.toml` means, in a sentence: for editors (in the JSON schema) and for the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from detent.terms import (
    BaselineStage,
    CanaryStage,
    CanaryStep,
    CheckRow,
    DeclaredMetric,
    Drill,
    FileTable,
    Guard,
    Notify,
    Plan,
    Price,
    Provider,
    RecordPolicy,
    Route,
    Server,
    ShadowStage,
    SoakStage,
    Warm,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A table of the file: how its header is written, what it is for, and its keys in the order in which one reads about them."""

    header: str
    says: str
    keys: Mapping[str, str]


KEYS: Mapping[type[FileTable], Keys] = {
    Provider: Keys(
        header="[providers.NAME]",
        says="Where versions are served.",
        keys={
            "dialect": "whose HTTP API it speaks",
            "base_url": "where that API is, with its version: `https://api.openai.com/v1`",
            "key_env": "the variable that holds the key; without it callers' own are passed on, and Detent itself can ask nothing",
            "shadow_key_env": "the variable that holds another key, for copies of requests: their quota is not that of live traffic",
            "watcher": "whose job it is to watch this provider's feed of changes",
        },
    ),
    Route: Keys(
        header="[routes.NAME]",
        says="The logical name that an app calls, and what was approved for it.",
        keys={
            "provider": "one of `[providers.NAME]`",
            "version": "the pin: the exact model id that was approved and runs. Not changed by hand: propose a `next`",
            "next": "a proposed version; `detent apply` opens a rollout to it",
            "rollback": "the way back that is kept warm outside a rollout; without it the newest former version is",
            "fallback": "the version that answers while stable's provider is out: a model id, or `provider/model`; compared with nothing",
            "owner": "who is told and paged",
            "plan": "one of `[plans.NAME]`, or `standard` or `quiet`, which need not be written",
            "unit": "what a split sticks to, in order of preference",
            "checks": "the checks that matter for this route: rows of [the table](tables.md#checks) or of `[checks.NAME]`",
            "context": "where the retrieved context stands in a request: `messages[-1] <docs>...</docs>`, `system`, or `header NAME`",
            "rubric": "a file beside this one that says what matters here; pinned by its digest, given to the judge",
            "judge": "another route, whose version judges; never of a family that it judges",
            "record": "what is kept of bodies",
            "on_candidate_failure": "who answers where the candidate failed before its first byte: `stable`, or nobody (`fail`)",
            "usage": "of streams: asked for, and taken out again (`ask`), or nothing is added, and tokens are unscored (`as_sent`)",
            "processors": "who may read this route's traffic, if the list is given: a shadow or a judge at any other provider is refused",
        },
    ),
    RecordPolicy: Keys(
        header="record",
        says="Of a route: what is kept of requests and answers; numbers and outcomes always are.",
        keys={
            "bodies": "the share of exchanges whose bodies are kept; above 0 also those of what went wrong and of what is mirrored",
            "redact": "what is taken out of them first: secrets and personal data (`all`), `secrets`, or `none`",
        },
    ),
    Plan: Keys(
        header="[plans.NAME]",
        says="The stages of a rollout and its guards; fixed when a rollout opens. What a plan leaves out is as below.",
        keys={
            "baseline": "layer 1",
            "shadow": "layer 2",
            "canary": "layer 3",
            "soak": "after promotion",
            "drill": "when the way back is rehearsed; without it no drill is scheduled, and none is overdue",
            "approve": "stages that wait at their entry for a human yes; `[]` for none",
            "alpha": "the risk, over the whole rollout, that an unchanged candidate is rolled back for harm",
            "guards": "what the candidate may not worsen; without any, the default ones, made to fit the route's traffic",
            "unsafe_short_windows": "needed for windows under 48 h, or a shadow under a week; shown on every decision",
            "lease": "how long a gateway that cannot reach the store goes on splitting: `5s` to `1h`",
            "runs": "a rollback moves an agent's run on the candidate at its next request (`cut`), or lets it finish (`drain`)",
            "warm": "a trickle of copies to the way back outside a rollout; without it nothing is copied there",
            "freeze": "UTC days, both in it, `2026-12-20/2027-01-04`: nothing opens further, widens, advances or is drilled; harm acts",
        },
    ),
    BaselineStage: Keys(
        header="baseline",
        says="Of a plan: a frozen set of prompts, answered by both versions.",
        keys={
            "screen": "runs of each prompt by the candidate at first",
            "confirm": "fresh runs by both versions of each prompt that looks worse; below 4 they can show nothing",
            "stable_repeats": "runs of each prompt by stable at first: how often it disagrees with itself is the noise floor",
            "fdr": "the share of false ones among the prompts that are called lost",
            "max_age": "an older baseline is stale",
            "cases": "how many prompts are frozen",
            "coverage": "a baseline that stands for less of the present traffic is stale",
            "reserve": "the share of cases that nobody is shown",
            "on_stale": "new rollouts `wait` for a fresh baseline, or owners are told only (`warn`)",
            "budget_usd": "calls stop there, and the run is inconclusive; none: no limit",
            "at_least": "so many prompts must be able to get lost before a pass says anything",
            "margin": "a pass excludes that the candidate is right in so much less of the prompts",
        },
    ),
    ShadowStage: Keys(
        header="shadow",
        says="Of a plan: the candidate answers copies of live requests. Limits are of all gateways together, and of a UTC day.",
        keys={
            "share": "the share of units whose requests are copied",
            "at_least": "how long it lasts at least",
            "at_most": "when it ends as not proved, counted in time that a controller watches",
            "pairs": "how many pairs it needs at least",
            "second": "of the copies, the share that stable answers again: how often it disagrees with itself is the noise floor",
            "coverage": "the share of tomorrow's traffic whose input class must have been compared",
            "whole_week": "whether less than a week is refused, which would miss what happens on one day of it",
            "harms": "the [named changes](tables.md#named-changes) that end it where there is more of them than the noise floor",
            "budget_usd_per_day": "what copies may cost; `inf` for no limit",
            "tokens_per_day": "how many tokens copies may take",
            "per_second": "how many copies a gateway sends in a second at most",
            "judge_usd_per_day": "what the judge of pairs may cost",
        },
    ),
    CanaryStage: Keys(
        header="canary",
        says="Of a plan: a small sticky share of live traffic.",
        keys={
            "steps": "the ramp",
            "at_most": "when it ends as not proved, counted in time that a controller watches",
            "control": "keeps a slice of stable as large as the candidate's, with a cache of its own, for what depends on the cache",
        },
    ),
    CanaryStep: Keys(
        header="canary.steps",
        says="One step of the ramp.",
        keys={
            "share": "the share of units on the candidate",
            "at_least": "how long it lasts at least",
            "units": "how many units of the candidate's it needs at least",
        },
    ),
    SoakStage: Keys(
        header="soak",
        says="Of a plan, after promotion: all but the holdback is on the candidate.",
        keys={
            "at_least": "how long it lasts",
            "holdback": "the share of units that stays on the former version: warm by real traffic, and a comparison",
        },
    ),
    Drill: Keys(
        header="drill",
        says="Of a plan: a rehearsed rollback with real traffic.",
        keys={
            "every": "a tenth later than so long after the last one that passed, it is overdue",
            "share": "the share of units that goes to the way back",
            "lasts": "for how long at most",
            "at": "when one may begin: the five fields of cron, UTC",
        },
    ),
    Warm: Keys(
        header="warm",
        says="Of a plan: copies of live requests that keep the way back warm while no rollout is open. Nobody sees their answers.",
        keys={
            "share": "the share of units whose requests are copied to the way back",
            "usd_per_day": "what copies of one route may cost on a UTC day, of all gateways together",
        },
    ),
    Guard: Keys(
        header="[[plans.NAME.guards]]",
        says="A metric that the candidate may not worsen.",
        keys={
            "metric": "a row of [the table](tables.md#metrics) or of `[metrics.NAME]`",
            "margin_ratio": "what must be proved: not worse than so many times stable's; this or `margin_abs`",
            "margin_abs": "likewise, worse by so much at most",
            "action": "what harm does: `roll_back`, or `hold` until somebody has a look",
            "matures": "when an outcome is read, from the unit's first exposure on",
            "role": "`prove`: must be shown to be within its margin (at most 3); `harm`: can only end the rollout; `observe`: is shown",
            "side": "the way in which the metric gets worse, where that is not its own",
            "tolerance_ratio": "harm in a value (tokens, seconds) begins above so many times stable's",
        },
    ),
    CheckRow: Keys(
        header="[checks.NAME]",
        says="A check of the team's own, with one rule.",
        keys={
            "says": "what it looks at, in words",
            "matches": "a regular expression that must be found in the answer's text",
            "never_matches": "one that must not be",
            "contains": "a text that must be in it",
            "lacks": "one that must not be",
            "max_chars": "how long an answer may be",
            "min_chars": "how long it must be",
            "python": "`package.module:function`, or the name of an entry point of the group `detent.checks`",
            "autoevals": "the name of a scorer of autoevals",
            "at_least": "the value of a function or scorer that passes",
        },
    ),
    DeclaredMetric: Keys(
        header="[metrics.NAME]",
        says="A metric of the app's own, which it says by the feedback endpoint.",
        keys={
            "says": "what it is, in words",
            "kind": "true or false (`rate`), or a number (`value`)",
            "level": "what has one of it",
            "worse": "which way is worse",
            "silence": "what a unit counts as of which nothing was said: no outcome (`unknown`), `good`, or `bad`",
        },
    ),
    Price: Keys(
        header='[prices."PROVIDER/MODEL"]',
        says="What a version costs, in USD per million tokens.",
        keys={"input": "of input", "output": "of output", "cached": "of cached input; like other input if not given"},
    ),
    Server: Keys(
        header="[server]",
        says="Listeners, and who may come in.",
        keys={
            "data": "where apps connect; an address beyond this machine is refused until client keys are set",
            "control": "where the API listens; loopback only",
            "clients_env": "the variable that holds the clients' keys, with commas between them",
            "unknown": "a model name that is no route is passed on with the client's own key (`pass`), or answered 404 (`refuse`)",
            "approves_alone": "who may approve what they proposed themselves: a team of one",
            "journal": "how long legs, bodies and feedback are kept, in whole UTC days, from `1d`; for ever if not given",
        },
    ),
    Notify: Keys(
        header="[notify]",
        says="How owners are told and paged. What is named are variables: the addresses are secrets.",
        keys={
            "webhook_env": "the variable that holds the webhook's address",
            "smtp_env": "the variable that holds the mail server's: `smtp://user:password@mail.example.com:587?starttls=1`",
            "sender": "from whom mail comes",
        },
    ),
}
