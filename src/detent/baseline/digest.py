"""What a baseline is known by: everything in it that decides a verdict. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from detent.terms import Case


def digest_of(cases: Iterable[Case]) -> str:
    """The digest of cases in their order: what is sent, what it is held against, how far that is known to be good, and what it weighs."""
    deciding = [
        (
            *(case.id, case.endpoint, case.request, case.api_version, case.betas, case.script, case.probe),
            *(case.known_good, case.known_good_calls, case.reference, case.blessed is not None, bool(case.faulted)),
            *(case.weight, case.strata),
        )
        for case in cases
    ]
    return hashlib.sha256(msgspec.json.encode(deciding, order="sorted")).hexdigest()
