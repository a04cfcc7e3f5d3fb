"""The routes of the REST API, and the login that each of them needs."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.account import Account
from simulator.network import Network
from simulator.rest.account import AccountAndNumbers
from simulator.rest.answers import TwilioError, error_answer, not_found
from simulator.rest.media import Media
from simulator.rest.messages import Messages
from simulator.switchboard import Switchboard

API: Final = "/2010-04-01/Accounts/{account}"

Handler = Callable[[Request], Awaitable[Response]]
#: Each path is asked with all of them, so that an error has Twilio's form.
METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
#: HTTP method to handler; empty for a path that the API does not have.
Verbs = Mapping[str, Handler]


def routes(network: Network) -> list[Route]:
    """Return the routes of one network's REST API."""
    board = network.switchboard
    messages, media, account = Messages(network), Media(board), AccountAndNumbers(board)
    table: list[tuple[str, Verbs]] = [
        (f"{API}.json", {"GET": account.account}),
        (f"{API}/Messages.json", {"GET": messages.list_messages, "POST": messages.create_message}),
        (
            f"{API}/Messages/{{sid}}.json",
            {"GET": messages.fetch_message, "POST": messages.update_message, "DELETE": messages.delete_message},
        ),
        (f"{API}/Messages/{{sid}}/Media.json", {"GET": media.list_media}),
        (f"{API}/Messages/{{sid}}/Media/{{media}}.json", {"GET": media.fetch_media, "DELETE": media.delete_media}),
        (f"{API}/Messages/{{sid}}/Media/{{media}}", {"GET": media.media_content}),
        (f"{API}/IncomingPhoneNumbers.json", {"GET": account.list_numbers}),
        (f"{API}/IncomingPhoneNumbers/{{sid}}.json", {"GET": account.fetch_number, "POST": account.update_number}),
        (f"{API}/{{rest:path}}", {}),
    ]
    return [Route(path, _guarded(board, verbs), methods=METHODS) for path, verbs in table]


def _guarded(switchboard: Switchboard, verbs: Verbs) -> Handler:
    """Return an endpoint that checks the login first and answers errors as Twilio does."""

    async def endpoint(request: Request) -> Response:
        try:
            _authenticate(switchboard.account, request)
            return await _chosen(verbs, request)(request)
        except TwilioError as error:
            return error_answer(error)

    return endpoint


def _chosen(verbs: Verbs, request: Request) -> Handler:
    """Return the handler of the request's method. Raises `TwilioError`."""
    verb = "GET" if request.method == "HEAD" else request.method
    if verb in verbs:
        return verbs[verb]
    raise TwilioError(405, 20004, "Method not allowed") if verbs else not_found(request)


def _authenticate(account: Account, request: Request) -> None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    try:
        username, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except ValueError:  # not base64, or not UTF-8
        username, password = "", ""
    if scheme.lower() != "basic" or not account.accepts_login(username, password):
        raise TwilioError(401, 20003, "Authenticate")
    if request.path_params["account"] != account.sid:
        raise not_found(request)
