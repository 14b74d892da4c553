"""Which prompts of a shadow are near-duplicates, one prompt at a time: signatures looked up by their bands. Pure, and light to import.

As in `sampling.near`, which makes the signatures and sorts whole samples by them: two prompts are looked at where all places of one of
`BANDS` bands agree, and are of one cluster where the share `LIKE` of all places does. A cluster is known by its first prompt, and every
prompt is held against that one, so that likeness is not handed on along a chain.
"""

from __future__ import annotations

from collections.abc import Mapping

BANDS = 16
LIKE = 0.8

CLUSTERS = 20_000
"""How many clusters of a rollout are kept; of a prompt that is like none of these nothing is known, and it counts as met once."""

_PLACE = 2  # bytes


def bands_of(signature: bytes) -> tuple[str, ...]:
    """What a signature is looked up by: each of its bands, with its number. None of one that is empty or cannot be cut evenly."""
    width, left = divmod(len(signature), BANDS)
    if not signature or left:
        return ()
    return tuple(f"{band:02d}{signature[band * width : (band + 1) * width].hex()}" for band in range(BANDS))


def cluster_of(signature: bytes, bands: Mapping[str, str], clusters: Mapping[str, bytes]) -> str | None:
    """The cluster that a prompt belongs to; None where it is like the first prompt of none. `bands` lead to clusters."""
    looked_at = set()
    for band in bands_of(signature):
        cluster = bands.get(band)
        if cluster is None or cluster in looked_at:
            continue
        looked_at.add(cluster)
        if _like(signature, clusters[cluster]):
            return cluster
    return None


def _like(one: bytes, other: bytes) -> bool:
    if len(one) != len(other):
        return False
    places = len(one) // _PLACE
    same = sum(a == b for a, b in zip(memoryview(one).cast("H"), memoryview(other).cast("H"), strict=True))
    return same >= LIKE * places
