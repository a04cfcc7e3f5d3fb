"""What an operator can do in the console, and the one way to it, `Actions.answer`.

In this order: the session's token must be in the form, the login must have the role, the audit log must take the entry,
then the action is done, and the log is told what became of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from starlette.responses import RedirectResponse, Response

from console.desk import Desk
from console.request import ConsoleRequest
from console.views import Views
from operations.errors import BadRequest
from operations.logins import Role

SEE_OTHER: Final = 303
FORBIDDEN: Final = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of an action: a sentence for the next page, and where that is; or a file to download."""

    said: str = ""
    to: str = "/"
    file: Response | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an operator confirms before an action: it names what will happen."""

    title: str
    sentences: tuple[str, ...]
    button: str
    #: Nothing brings back what it takes away: its button warns.
    is_final: bool = False
    #: The page to go back to.
    back: str = "/"
    #: A choice between values of one field: field, then value and label of each.
    choice: tuple[str, tuple[tuple[str, str], ...]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action: its address, its name in the audit log, the role that it needs, and what it does."""

    path: str
    what: str
    role: Role = Role.ACT
    act: Callable[[ConsoleRequest], Done]
    #: What the audit log names: a hash, a key or a sid.
    target: Callable[[ConsoleRequest], str] = field(default=lambda asked: next(iter(asked.path.values()), ""))
    #: The page that asks before the action; None: its button stands on another page and says it.
    question: Callable[[ConsoleRequest], Question] | None = None


class Actions:
    """Carries actions out."""

    def __init__(self, desk: Desk, views: Views) -> None:
        self._desk = desk
        self._views = views

    def ask(self, action: Action, asked: ConsoleRequest) -> Response:
        """Return the page that names what will happen. Raises `BadRequest`."""
        assert action.question is not None
        if not self._may(action, asked):
            return self._refused(asked, "your login may look, and not act")
        question = action.question(asked)
        return self._views.page(asked, "question.html", question.title, question=question)

    def answer(self, action: Action, asked: ConsoleRequest, address: str) -> Response:
        """Do what a posted form asks for, once it is in the audit log.

        `address`: from which the request came. Raises `InboxAway`, and what the action raises.
        """
        if not asked.is_ours():
            return self._refused(asked, "this form is from another session: open the page again")
        if not self._may(action, asked):
            return self._refused(asked, "your login may look, and not act")
        audit = self._desk.audit
        entry = audit.begin(name=asked.session.name, address=address, what=action.what, target=action.target(asked))
        try:
            done = action.act(asked)
        except BadRequest:
            audit.end(entry, "refused")
            raise
        except Exception as exc:
            audit.end(entry, f"failed: {type(exc).__name__}")
            raise
        audit.end(entry, "done")
        if done.file is not None:
            return done.file
        if done.said:
            self._desk.authentication.sessions.say(asked.session, done.said)
        return RedirectResponse(done.to, status_code=SEE_OTHER)

    def _may(self, action: Action, asked: ConsoleRequest) -> bool:
        return action.role is Role.LOOK or asked.session.may_act()

    def _refused(self, asked: ConsoleRequest, why: str) -> Response:
        return self._views.page(asked, "message.html", "Refused", status=FORBIDDEN, message=why)
