"""Log in and out: the form, the login inside an address, and the limit on attempts."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from anyio import CapacityLimiter, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from console.actions import FORBIDDEN, SEE_OTHER
from console.desk import Desk
from console.request import ConsoleRequest, UnusableForm, form_of, local_path
from console.views import Views
from inbox.errors import InboxAway
from operations import metrics
from operations.errors import BadRequest
from operations.logins import Login
from runtime import logs

#: Passwords that are verified at a time: each takes 64 MB.
VERIFIED_AT_A_TIME: Final = 2
#: HTTP's status for too many attempts.
TOO_MANY: Final = 429

log = logs.get("console")


class LoginPages:
    """The pages that log an operator in and out."""

    def __init__(self, desk: Desk, views: Views) -> None:
        self._desk = desk
        self._views = views
        self._verifying = CapacityLimiter(VERIFIED_AT_A_TIME)

    async def login_page(self, request: Request) -> Response:
        """Show the form."""
        return self._login_form(request.query_params.get("next", "/"))

    def _login_form(self, next_: str, problem: str = "", status: int = 200) -> Response:
        return self._views.bare("login.html", "Log in", status=status, next=local_path(next_), problem=problem)

    async def log_in(self, request: Request) -> Response:
        """Take the form."""
        try:
            form = await form_of(request)
            next_ = local_path(form.get("next", "/"))
            login, problem, status = await self._try(request, form.get("name", ""), form.get("password", ""))
            if login is None:
                return self._login_form(next_, problem, status)
            return await run_in_threadpool(self._let_in, request, login, next_)
        except UnusableForm as exc:
            return bare(self._views, str(exc), 400)
        except (InboxAway, BadRequest) as exc:
            return bare(self._views, str(exc), 503)

    async def enter(self, request: Request) -> Response:
        """Log in with the login inside the address, which a browser sends when it is asked for one.

        A link on another site cannot log an operator in: it may lead to another operator's session.
        """
        challenge = {"www-authenticate": 'Basic realm="DadaCat", charset="UTF-8"', "cache-control": "no-store"}
        if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            return self._login_form("/")
        name, password = _basic(request.headers.get("authorization", ""))
        if not name:
            return PlainTextResponse("a login is needed\n", status_code=401, headers=challenge)
        try:
            login, problem, status = await self._try(request, name, password)
            if login is None:
                headers = challenge if status == FORBIDDEN else {}
                return PlainTextResponse(f"{problem}\n", status_code=401 if headers else status, headers=headers)
            return await run_in_threadpool(self._let_in, request, login, "/")
        except (InboxAway, BadRequest) as exc:
            return bare(self._views, str(exc), 503)

    async def _try(self, request: Request, name: str, password: str) -> tuple[Login | None, str, int]:
        """Return the login; or None, with the reason and its status."""
        authentication, address = self._desk.authentication, self._desk.authentication.address(request)
        if not await run_in_threadpool(authentication.sessions.may_try, address):
            metrics.LOGINS.labels(outcome="limited").inc()
            log.warning("login limited", address=address)
            return None, "Too many attempts: wait five minutes.", TOO_MANY
        login = await to_thread.run_sync(authentication.enter, name, password, limiter=self._verifying)
        if login is None:
            metrics.LOGINS.labels(outcome="refused").inc()
            await run_in_threadpool(self._note_refusal, name, address)
            return None, "Name or password is wrong.", FORBIDDEN
        return login, "", 200

    def _note_refusal(self, name: str, address: str) -> None:
        # what is typed for a name may be a password
        known = name if name in self._desk.authentication.logins() else "unknown"
        self._desk.audit.refuse(name=known, address=address)

    def _let_in(self, request: Request, login: Login, next_: str) -> Response:
        authentication, address = self._desk.authentication, self._desk.authentication.address(request)
        entry = self._desk.audit.begin(name=login.name, address=address, what="login")
        old, _ = authentication.session(request)
        if old is not None:
            authentication.sessions.close(old)
        token = authentication.sessions.open(login)
        authentication.sessions.forgive(address)
        self._desk.audit.end(entry, "done")
        metrics.LOGINS.labels(outcome="done").inc()
        response = RedirectResponse(next_, status_code=SEE_OTHER, headers={"cache-control": "no-store"})
        authentication.set_cookie(response, token)
        return response

    async def log_out(self, request: Request, asked: ConsoleRequest) -> Response:
        """End the session."""
        del request
        if not asked.is_ours():
            message = "This form is from another session: open the page again."
            return self._views.page(asked, "message.html", "Refused", status=FORBIDDEN, message=message)
        await run_in_threadpool(self._desk.authentication.sessions.close, asked.session)
        response = RedirectResponse("/login", status_code=SEE_OTHER)
        self._desk.authentication.drop_cookie(response)
        return response


def bare(views: Views, words: str, status: int) -> Response:
    """Return a page that says one sentence to an operator who has not logged in."""
    return views.bare("bare.html", "DadaCat", status=status, message=words)


def _basic(header: str) -> tuple[str, str]:
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password
