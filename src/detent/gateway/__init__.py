"""The reverse proxy: bytes move, and what moved is written down. Everything it decides is decided in `exchange`.

app.py       what comes in, and who may                          caller.py    the client's side of the connection
answering.py a request on a route, leg by leg                    breakers.py  which versions fail hard, and are not waited for
records.py   what is written down, and when                      taking.py    the feedback endpoint, and who may send it how much
feedback.py  what an app says of an answer, entry by entry       shorten.py   a body of any size, made short while it comes
mirror_desk.py  which exchanges the shadow gets                  mirroring.py the process that mirrors, and how it is fed
allowance.py a token bucket
"""

from detent.gateway.answering import AnswerBroken
from detent.gateway.app import Gateway
from detent.gateway.mirroring import Mirrors, MirrorSink
from detent.gateway.records import SpoolSink

__all__ = ["AnswerBroken", "Gateway", "MirrorSink", "Mirrors", "SpoolSink"]
