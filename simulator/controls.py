"""Change the network while it runs: its faults, and the account's auth token.

PUT  /account/token             {"token"}: replace the account's auth token
GET  /faults                    seed, rules, how often each struck, and the possible actions
PUT  /faults                    {"rules", "seed"}: replace the rules
GET  /faults/log                the rules that struck so far
GET  /requests                  the latest requests to the application and their answers; `?message=SM…`, `?after=ID`
DELETE /requests                forget them
"""

from __future__ import annotations

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator.bodies import Refused, json_of, text_in, whole_number
from simulator.faults import UnusableRule
from simulator.switchboard import Switchboard


def routes(switchboard: Switchboard) -> list[Route]:
    """Return the routes of the controls."""
    controls = Controls(switchboard)
    return [
        Route("/account/token", controls.set_token, methods=["PUT"]),
        Route("/faults", controls.faults, methods=["GET"]),
        Route("/faults", controls.set_faults, methods=["PUT"]),
        Route("/faults/log", controls.fault_log, methods=["GET"]),
        Route("/requests", controls.requests, methods=["GET"]),
        Route("/requests", controls.clear_requests, methods=["DELETE"]),
    ]


class Controls:
    """The handlers of the routes."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._board = switchboard

    async def set_token(self, request: Request) -> Response:
        """Replace the auth token, as Twilio's console does; signatures and logins use the new one at once."""
        asked = await json_of(request)
        token = text_in(asked, "token")
        if not token:
            raise Refused("token: a non-empty text is required")
        self._board.replace_token(token)
        return Response(status_code=204)

    async def faults(self, request: Request) -> Response:
        """Return the fault rules."""
        del request
        return JSONResponse(self._board.faults.describe())

    async def set_faults(self, request: Request) -> Response:
        """Replace the fault rules."""
        asked = await json_of(request)
        try:
            self._board.faults.set(asked.get("rules"), seed=asked.get("seed"))
        except UnusableRule as exc:
            raise Refused(str(exc)) from None
        self._board.publish({"kind": "faults"})
        return JSONResponse(self._board.faults.describe())

    async def fault_log(self, request: Request) -> Response:
        """Return the rules that struck so far."""
        del request
        return JSONResponse([asdict(strike) for strike in self._board.faults.log])

    async def requests(self, request: Request) -> Response:
        """Return the latest requests to the application, oldest first."""
        after = whole_number(request.query_params.get("after", "0"))
        if after is None:
            raise Refused("after: must be the id of a request")
        message = request.query_params.get("message", "")
        return JSONResponse(self._board.inspector.describe(message=message, after=after))

    async def clear_requests(self, request: Request) -> Response:
        """Forget the requests."""
        del request
        self._board.inspector.clear()
        return Response(status_code=204)
