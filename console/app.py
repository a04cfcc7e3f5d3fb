"""The console's ASGI application: log in, then pages and actions.

    /login /enter /logout   the ways in and out: a form; a login inside the address; a form's button
    /events                 the overview as server-sent events
    /livez /readyz          for probes, without a login: they say nothing else
    /page/NAME              scripts and styles
    everything else         pages (`console.pages`) and actions (`console.actions`), behind a login

An operator's request runs in a thread, because the stores block.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from console.actions import SEE_OTHER, Action, Actions
from console.desk import Desk
from console.login import LoginPages, bare
from console.pages import Page
from console.pages.decisions import Decisions
from console.pages.figures import Figures
from console.pages.now import Now
from console.pages.person_actions import PersonActions
from console.pages.persons import Persons
from console.request import ConsoleRequest, UnusableForm, form_of
from console.stream import Stream
from console.views import Views
from conversation.errors import ConversationError
from inbox.errors import InboxAway
from operations.errors import BadRequest, NotFound
from runtime import logs, page_files
from runtime.guard import Guarded
from sms.errors import CarrierAway

#: Nothing inline, nothing from elsewhere, no frame around it.
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "x-frame-options": "DENY",
    # `same-origin`, not `no-referrer`: with that, a form's request has no origin to check
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
#: Over https only: the browser comes back over https for a year.
HTTPS: Final = {"strict-transport-security": "max-age=31536000"}
PAGE_FILES: Final = page_files.SHARED | {"console.css", "console.js"}

Endpoint = Callable[[Request], Awaitable[Response]]

log = logs.get("console")


def create_app(desk: Desk, *, public_url: str) -> ASGIApp:
    """Return the application. `public_url`: the address at which operators reach it."""
    console = _Console(desk)
    address = urlsplit(public_url)
    more = HTTPS if address.scheme == "https" else {}
    app = Starlette(routes=console.routes())
    return Guarded(app, address.hostname or "localhost", page_policy=PAGE_POLICY, headers={**HEADERS, **more})


class _Console:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._views = Views(desk)
        self._actions = Actions(desk, self._views)
        self._now = Now(desk, self._views)

    def routes(self) -> list[Route]:
        decisions, persons = Decisions(self._desk, self._views), Persons(self._desk, self._views)
        login_pages, stream = LoginPages(self._desk, self._views), Stream(self._desk.authentication, self._now)
        figures = Figures(self._desk, self._views, self._now)
        pages = [*self._now.pages(), *decisions.pages(), *persons.pages(), *figures.pages()]
        actions = [*decisions.actions(), *PersonActions(self._desk, self._views).actions(), *figures.actions()]
        return [
            Route("/livez", _alive, methods=["GET"]),
            Route("/readyz", self._ready, methods=["GET"]),
            Route("/page/{name}", _page_file, methods=["GET"]),
            Route("/login", login_pages.login_page, methods=["GET"]),
            Route("/login", login_pages.log_in, methods=["POST"]),
            Route("/enter", login_pages.enter, methods=["GET"]),
            Route("/logout", self._behind(login_pages.log_out), methods=["POST"]),
            Route("/events", self._behind(stream.events), methods=["GET"]),
            *(Route(action.path, self._ask(action), methods=["GET"]) for action in actions if action.question),
            *(Route(action.path, self._act(action), methods=["POST"]) for action in actions),
            *(Route(page.path, self._show(page), methods=["GET"]) for page in pages),
            Route("/{path:path}", self._behind(self._nothing), methods=["GET", "POST"]),
        ]

    def _show(self, page: Page) -> Endpoint:
        return self._behind(lambda _, asked: run_in_threadpool(page.answer, asked))

    def _ask(self, action: Action) -> Endpoint:
        return self._behind(lambda _, asked: run_in_threadpool(self._actions.ask, action, asked))

    def _act(self, action: Action) -> Endpoint:
        return self._behind(
            lambda request, asked: run_in_threadpool(
                self._actions.answer, action, asked, self._desk.authentication.address(request)
            )
        )

    def _behind(self, answer: Callable[[Request, ConsoleRequest], Awaitable[Response]]) -> Endpoint:
        """Return an endpoint for operators who have logged in; what fails becomes a page that says so."""

        async def endpoint(request: Request) -> Response:
            try:
                session, fresh = await run_in_threadpool(self._desk.authentication.session, request)
                if session is None:
                    return _to_login(request)
                form = await form_of(request) if request.method == "POST" else {}
                query = request.query_params
                asked = ConsoleRequest(
                    session=session, path=request.path_params, query=query, form=form, url=_own_url(request)
                )
            except (InboxAway, BadRequest) as exc:
                return bare(self._views, str(exc), 503)
            except UnusableForm as exc:
                return bare(self._views, str(exc), 400)
            response = await self._answered(answer, request, asked)
            if fresh:
                self._desk.authentication.set_cookie(response, fresh)
            response.headers.setdefault("cache-control", "no-store")
            return response

        return endpoint

    async def _answered(
        self, answer: Callable[[Request, ConsoleRequest], Awaitable[Response]], request: Request, asked: ConsoleRequest
    ) -> Response:
        try:
            return await answer(request, asked)
        except NotFound as exc:
            return self._message(asked, str(exc), 404)
        except BadRequest as exc:
            return self._message(asked, str(exc), 409)
        except (InboxAway, ConversationError, CarrierAway) as exc:
            return self._message(asked, str(exc) or type(exc).__name__, 503)
        except Exception as exc:
            # the HTTP boundary: a page that fails must not show what it was doing
            log.exception("page failed", page=request.scope["route"].path)
            return self._message(asked, f"The page failed: {type(exc).__name__}. The console's log says more.", 500)

    def _message(self, asked: ConsoleRequest, words: str, status: int) -> Response:
        return self._views.page(asked, "message.html", "DadaCat", status=status, message=words)

    async def _nothing(self, request: Request, asked: ConsoleRequest) -> Response:
        del request
        return self._message(asked, "There is no such page.", 404)

    async def _ready(self, request: Request) -> Response:
        del request
        try:
            await run_in_threadpool(self._desk.inbox.clock.now_ms)
        except InboxAway:
            return PlainTextResponse("redis does not answer\n", status_code=503)
        return PlainTextResponse("ready\n")


async def _alive(request: Request) -> Response:
    del request
    return PlainTextResponse("alive\n")


async def _page_file(request: Request) -> Response:
    name = request.path_params["name"]
    return page_files.file("console", name) if name in PAGE_FILES else Response(status_code=404)


def _to_login(request: Request) -> Response:
    if request.method != "GET" or request.url.path in {"/events", "/overview.json"}:
        return JSONResponse({"error": "log in first"}, status_code=401, headers={"cache-control": "no-store"})
    to = f"/login?next={quote(_own_url(request), safe='')}"
    return RedirectResponse(to, status_code=SEE_OTHER, headers={"cache-control": "no-store"})


def _own_url(request: Request) -> str:
    """Return a request's address without the server's, as the browser wrote it."""
    path = request.scope.get("raw_path", b"").decode("latin-1").partition("?")[0] or quote(request.url.path)
    return f"{path}?{request.url.query}" if request.url.query else path
