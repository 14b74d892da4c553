"""Hosts for tests: network namespaces of one machine, each with a link to the others that can be cut.

    db  ---- 10.77.1.0/30 ----  one
     '------ 10.77.2.0/30 ----  two

What is run `inside` one of them, processes that it starts included, sees that host's network and nothing else.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")

_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


class Hosts:
    """`db`, and `one` and `two` with a link to it each."""

    def __init__(self, prefix: str) -> None:
        self.names = {name: f"{prefix}{name}" for name in ("db", "one", "two")}
        self.addresses = {"one": "10.77.1.1", "two": "10.77.2.1"}
        """Where each of them finds `db`."""

    def inside(self, host: str, call: Callable[[], _T]) -> _T:
        """What the call gives, made by a thread that is on that host for good."""
        came: list[_T] = []
        failed: list[BaseException] = []

        def there() -> None:
            try:
                handle = os.open(f"/var/run/netns/{self.names[host]}", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    if _LIBC.setns(handle, _NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                finally:
                    os.close(handle)
                came.append(call())
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=there)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return came[0]

    def cut(self, host: str) -> None:
        """What is sent either way is lost from here, and nobody is told: no reset, no link that is down."""
        _ip("netns", "exec", self.names[host], "ip", "route", "replace", "blackhole", f"{self.addresses[host]}/32")
        _ip("netns", "exec", self.names["db"], "ip", "route", "replace", "blackhole", f"{self.addresses[host][:-1]}2/32")

    def mend(self, host: str) -> None:
        """The link is back."""
        _ip("netns", "exec", self.names[host], "ip", "route", "del", "blackhole", f"{self.addresses[host]}/32")
        _ip("netns", "exec", self.names["db"], "ip", "route", "del", "blackhole", f"{self.addresses[host][:-1]}2/32")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def hosts() -> Iterator[Hosts]:
    """The three of them, gone at the end. Skips the test where a machine cannot have them."""
    from stores import cannot_have

    if shutil.which("ip") is None:
        cannot_have("network namespaces: no `ip` on this machine; install the package `iproute2`")
    found = Hosts(f"dt{os.getpid() % 10000}")
    try:
        for name in found.names.values():
            _ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        _remove(found)
        cannot_have(f"network namespaces: {error.stderr.decode().strip()}")
    try:
        for name in found.names.values():
            _ip("-n", name, "link", "set", "lo", "up")
        for host, there in found.addresses.items():
            near, far = f"{found.names[host]}v", f"{found.names[host]}w"
            _ip("link", "add", near, "netns", found.names["db"], "type", "veth", "peer", "name", far, "netns", found.names[host])
            for name, link, address in ((found.names["db"], near, there), (found.names[host], far, f"{there[:-1]}2")):
                _ip("-n", name, "addr", "add", f"{address}/30", "dev", link)
                _ip("-n", name, "link", "set", link, "up")
        yield found
    finally:
        _remove(found)


def _remove(those: Hosts) -> None:
    for name in those.names.values():
        if Path("/var/run/netns", name).exists():
            _ip("netns", "del", name)
