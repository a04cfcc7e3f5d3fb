"""Pictures of messages in the REST API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from simulator.inbound import media_path
from simulator.rest.answers import date, not_found, page_of_all
from simulator.rest.messages import wanted_message
from simulator.store import Picture
from simulator.switchboard import Switchboard


class Media:
    """The handlers of the pictures' routes."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._board = switchboard
        self._store = switchboard.store

    async def list_media(self, request: Request) -> Response:
        """List the pictures of a message: GET Messages/MM…/Media.json."""
        message = wanted_message(self._store, request)
        pictures = [picture for sid in message.media if (picture := self._store.picture(sid))]
        return JSONResponse(page_of_all(request, "media_list", [self._described(picture) for picture in pictures]))

    async def fetch_media(self, request: Request) -> Response:
        """Describe a picture: GET Messages/MM…/Media/ME….json."""
        return JSONResponse(self._described(self._picture(request)))

    async def delete_media(self, request: Request) -> Response:
        """Remove a picture from its message: DELETE Messages/MM…/Media/ME….json."""
        picture = self._picture(request)
        message = wanted_message(self._store, request)
        self._store.delete_picture(picture.sid)
        self._board.save(replace(message, media=tuple(sid for sid in message.media if sid != picture.sid)))
        return Response(status_code=204)

    async def media_content(self, request: Request) -> Response:
        """Return the bytes of a picture: GET Messages/MM…/Media/ME…."""
        picture = self._picture(request)
        return Response(picture.data, media_type=picture.content_type)

    def _picture(self, request: Request) -> Picture:
        message = wanted_message(self._store, request)
        picture = self._store.picture(request.path_params["media"])
        if picture is None or picture.sid not in message.media:
            raise not_found(request)
        return picture

    def _described(self, picture: Picture) -> dict[str, Any]:  # Any: JSON
        return {
            "account_sid": self._board.account.sid,
            "content_type": picture.content_type,
            "date_created": date(picture.created),
            "date_updated": date(picture.created),
            "parent_sid": picture.parent,
            "sid": picture.sid,
            "uri": f"{media_path(self._board.account.sid, picture.parent, picture.sid)}.json",
        }
