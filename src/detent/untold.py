"""Whether word of an alert has any way to anybody; and the line that says that it has none. Pure, but for the file in force."""

from __future__ import annotations

from collections.abc import Mapping

from detent import manifest as pin_file
from detent.store import Store
from detent.terms import Notify

NOBODY = "no channel is configured: nobody is told (see docs/how-to/be-told.md)"


def untold(settings: Notify, environ: Mapping[str, str], *, of_server: bool) -> str | None:
    """The line, where [notify] names no channel or no variable that it names is set; None where somebody is told.

    The variables are the server's: of another process they tell only what may be so.
    """
    names = [name for name in (settings.webhook_env, settings.smtp_env) if name is not None]
    if any(environ.get(name, "").strip() for name in names):
        return None
    if not names or of_server:
        return NOBODY
    unset = " and ".join(f"`{name}`" for name in names)
    return f"{unset} of [notify] is not set here: if it is not for `detent serve` either, nobody is told (see docs/how-to/be-told.md)"


def untold_by(store: Store, environ: Mapping[str, str]) -> str | None:
    """The same by the file that was applied; without one there is nothing to tell."""
    applied = store.state.manifest_text()
    return None if applied is None else untold(pin_file.read(applied.text).notify, environ, of_server=False)
