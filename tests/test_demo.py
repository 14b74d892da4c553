"""The demo itself: real processes, real HTTP, real SDKs, and the three stories that it promises."""

from __future__ import annotations

import subprocess
import sys


def test_the_demo_tells_its_three_stories() -> None:
    run = subprocess.run([sys.executable, "-m", "detent", "demo"], capture_output=True, text=True, timeout=240, check=False)
    told = run.stdout
    assert run.returncode == 0, told + run.stderr
    assert "A promoted: support is on atlas-2026-04-02" in told
    assert '+version  = "atlas-2026-04-02"' in told, "the patch that makes the pin file true"
    assert "B rejected at the baseline: 0 users saw it" in told
    for cause in ("fence_added", "key_renamed", "unicode_escaped", "closing_text_added"):
        assert f"prompts lost by  {cause}" in told
    assert "C roll_back (GuardHarmed) tool_retry" in told
    assert "users were exposed; at 100 % it would have been" in told
    for gateway in ("gateway-1", "gateway-2"):
        assert f"{gateway} served stable" in told
    assert "A gate on the mean score (no drop above 2 points) would have shipped A" in told
    assert "Detent promoted A." in told
    assert run.stderr == "", "nothing to read in a log"
