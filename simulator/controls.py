"""Change the network while it runs: its faults, and the account's auth token.

PUT  /account/token             {"token"}: replace the account's auth token
GET  /faults                    seed, rules, how often each struck, and the possible actions
PUT  /faults                    {"rules", "seed"}: replace the rules
GET  /faults/log                the rules that struck so far
"""

from __future__ import annotations

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator.bodies import json_of, refusal
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
    ]


class Controls:
    """The handlers of the routes."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._board = switchboard

    async def set_token(self, request: Request) -> Response:
        """Replace the auth token, as Twilio's console does; signatures and logins use the new one at once."""
        asked = await json_of(request)
        token = asked.get("token")
        if not isinstance(token, str) or not token:
            return refusal("token: a non-empty string is required")
        self._board.replace_token(token)
        return Response(status_code=204)

    async def faults(self, request: Request) -> Response:
        """Return the fault rules."""
        del request
        return JSONResponse(self._board.faults.describe())

    async def set_faults(self, request: Request) -> Response:
        """Replace the fault rules."""
        asked = await json_of(request)
        rules, seed = asked.get("rules"), asked.get("seed")
        if not isinstance(rules, list) or not (seed is None or isinstance(seed, int)):
            return refusal("rules: must be a list; seed: must be a whole number")
        try:
            self._board.faults.set(rules, seed=seed)
        except UnusableRule as exc:
            return refusal(str(exc))
        self._board.publish({"kind": "faults"})
        return JSONResponse(self._board.faults.describe())

    async def fault_log(self, request: Request) -> Response:
        """Return the rules that struck so far."""
        del request
        return JSONResponse([asdict(strike) for strike in self._board.faults.log])
