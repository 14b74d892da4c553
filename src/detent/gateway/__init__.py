"""The reverse proxy: bytes move, and what moved is written down. Everything it decides is decided in `exchange`.

app.py       one request from its first byte to its record       caller.py    the client's side of the connection
tape.py      what is kept of an answer while it passes           feedback.py  what an app says of an answer, afterwards
"""

from detent.gateway.app import AnswerBroken, Gateway, SpoolSink

__all__ = ["AnswerBroken", "Gateway", "SpoolSink"]
