"""A simulated provider whose versions misbehave on purpose, a replay of recorded answers, and traffic made with the official SDKs."""
