"""Detent makes every LLM model-version change a staged, automatic, reversible rollout."""
