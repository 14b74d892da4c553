"""Who may do what: one table, from a command or a request of the API to the least role that may. Pure; what is not in it nobody may.

A viewer reads; an operator keeps things running and may always move towards stable; an approver also says yes to what moves users on to a
candidate, and lets go of ways back. Each role may what those before it may.
"""

from __future__ import annotations

from detent.errors import Refused
from detent.terms import TOKEN_ROLES, Token, TokenRole

LONGEST_WHY = 2_000
"""Characters of a reason: it stands in the log for ever, and in what owners are told."""

COMMANDS: dict[str, TokenRole | None] = {
    "aa": "operator",
    "abort": "operator",
    "ack": "operator",
    "alerts": None,
    "apply": "operator",
    "apply --loosen": "approver",
    "approve": "approver",
    "audit anchor": None,
    "audit show": None,
    "audit verify": None,
    "baseline bless": "operator",
    "baseline diff": None,
    "baseline freeze": "operator",
    "baseline run": "operator",
    "baseline show": None,
    "case list": None,
    "case pin": "operator",
    "case unpin": "operator",
    "compare": None,
    "controller": None,
    "decision replay": None,
    "decision what-if": None,
    "demo": None,
    "drill": "operator",
    "drill --waive": "approver",
    "explain": None,
    "export": None,
    "gateway": None,
    "hold": "operator",
    "import": None,
    "ingest": None,
    "init": None,
    "judge calibrate": "operator",
    "notify test": None,
    "patch": None,
    "plan": None,
    "power": None,
    "promote": "approver",
    "resume": "operator",
    "retire": "approver",
    "rollback": "operator",
    "schema": None,
    "serve": None,
    "shadow": None,
    "sim log": None,
    "sim provider": None,
    "sim replay": None,
    "sim traffic": None,
    "status": None,
    "token add": "approver",
    "token list": None,
    "token revoke": "approver",
    "verify": None,
}
"""Commands, by the least role that may, and options that ask for more than their command; `apply --loosen` is no option: it is what an
`apply` is whose file asks a human yes for less than the one in force (`loosening`). None: it changes nothing in a store, or is no
person's word (a server), and asks for no token.
"""

REQUESTS: dict[tuple[str, str], TokenRole | None] = {
    ("GET", "/healthz"): None,
    ("GET", "/v1/status"): "viewer",
    ("GET", "/v1/audit"): "viewer",
    ("POST", "/v1/rollouts/{rollout}/hold"): "operator",
    ("POST", "/v1/rollouts/{rollout}/resume"): "operator",
    ("POST", "/v1/rollouts/{rollout}/abort"): "operator",
    ("POST", "/v1/rollouts/{rollout}/rollback"): "operator",
    ("POST", "/v1/rollouts/{rollout}/approve"): "approver",
    ("POST", "/v1/rollouts/{rollout}/promote"): "approver",
    ("POST", "/v1/routes/{route}/rollback"): "operator",
}
"""Requests of the API likewise; None: without a token."""


def may(role: TokenRole, needs: TokenRole) -> bool:
    """Whether this role may what needs that one."""
    return TOKEN_ROLES.index(role) >= TOKEN_ROLES.index(needs)


def refuse_unless(token: Token, verb: str) -> None:
    """Raises Refused where this token's role may not run this command, or where no row of the table says who may."""
    if verb not in COMMANDS:
        raise Refused(f"no role may `{verb}`: it is not in the table of roles", hint="see src/detent/roles.py; nothing was changed")
    needs = COMMANDS[verb]
    if needs is not None and not may(token.role, needs):
        raise Refused(
            f"`{token.name}` has the role {token.role}, and `detent {verb}` needs {needs}",
            hint="ask somebody who has it; `detent token list` names them. Nothing was changed",
        )


def refuse_unless_first(role: TokenRole) -> None:
    """Raises Refused for a first token that could make no other."""
    if role != "approver":
        raise Refused(
            f"the first token has to be an approver's, not a token of role `{role}`: from then on only approvers make tokens",
            hint="detent token add NAME --role approver",
        )
