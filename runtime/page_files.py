"""The scripts and the style that the simulator's page and the console share."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from starlette.responses import Response

#: Files of this package: elements, the event stream, the road of one text, colours and what every page has.
SHARED: Final = frozenset({"base.css", "dom.js", "road.js", "stream.js"})
_TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript"}


def file(package: str, name: str) -> Response:
    """Return a file of the folder `page` of a package, or a shared one of that name."""
    place = files("runtime" if name in SHARED else package)
    content = place.joinpath("page", name).read_bytes()
    return Response(content, media_type=_TYPES[name.rpartition(".")[2]], headers={"cache-control": "no-cache"})
