"""Render the console's pages: what they print is escaped, and hidden characters are written out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from console.desk import Desk
from console.request import ConsoleRequest
from inbox.durations import moment
from journal.states import TurnState
from operations.overview import span
from runtime.money import MICRO, dollars
from runtime.visible import visible

#: The pages in the order of the navigation: address, and title.
PAGES: Final = (
    ("/", "Overview"), ("/waiting", "Waiting"), ("/held", "Held"), ("/dead-letters", "Dead letters"),
    ("/danger", "Danger"), ("/people", "Conversations"), ("/costs", "Costs"), ("/limits", "Limits"),
    ("/health", "Health"), ("/audit", "Audit"),
)  # fmt: skip


def _shown(value: object) -> object:
    """Return what a template prints of a value. What is markup is a template's own."""
    if value is None:
        return ""
    return value if hasattr(value, "__html__") else visible(str(value))


def _time(value: object) -> str:
    """Return a moment in UTC to the second, such as `2026-11-30 02:33:32`."""
    if isinstance(value, int):
        value = moment(value)
    text = value.isoformat() if isinstance(value, datetime) else str(value or "")
    return text[:19].replace("T", " ")


def _usd(millionths: int, digits: int = 4) -> str:
    return f"{dollars(millionths, digits)} USD"


def _bytes(count: int | None) -> str:
    return "" if count is None else f"{count / 1_048_576:.1f} MB"


def _purpose(kind: str) -> str:
    """Return what a budget of this kind pays for."""
    return "models" if kind == "model" else "messages"


def _all(bar: Counter[str]) -> int:
    return bar.total()


def _not_answered(bar: Counter[str]) -> int:
    return bar.total() - bar[TurnState.ANSWERED] - bar[TurnState.FILED]


def bars(values: Iterable[float], *, height: int) -> list[int]:
    """Return the heights of a plot's bars: the greatest value is as high as the plot."""
    kept = list(values)
    most = max(kept, default=0) or 1
    return [round(height * value / most) if value >= 0 else 0 for value in kept]


class Views:
    """The templates of one console."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._templates = Environment(
            loader=PackageLoader("console"), autoescape=True, undefined=StrictUndefined, finalize=_shown,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._templates.filters |= {
            "time": _time, "usd": _usd, "span": span, "bytes": _bytes, "purpose": _purpose, "sum_values": _all,
            "not_answered": _not_answered,
        }  # fmt: skip
        self._templates.globals |= {"MICRO": MICRO, "bar_heights": bars, "pages": PAGES, "desk": desk}

    def page(
        self, asked: ConsoleRequest, template: str, title: str, *, status: int = 200, **values: Any
    ) -> Response:  # Any: what the template prints
        """Return a page for an operator who has logged in."""
        said = asked.session.said
        if said:
            self._desk.authentication.sessions.heard(asked.session)
        values |= {"asked": asked, "session": asked.session, "said": said, "title": title}
        return HTMLResponse(self._rendered(template, values), status_code=status)

    def bare(self, template: str, title: str, *, status: int = 200, **values: Any) -> Response:  # Any: the same
        """Return a page for an operator who has not logged in; no browser keeps it."""
        values |= {"asked": None, "session": None, "said": "", "title": title}
        headers = {"cache-control": "no-store"}
        return HTMLResponse(self._rendered(template, values), status_code=status, headers=headers)

    def piece(self, template: str, **values: Any) -> str:  # Any: the same
        """Return a piece of a page, for the event stream."""
        return self._rendered(template, values)

    def name(self, asked: ConsoleRequest, user_id: str) -> Markup:
        """Return a link to a person: masked, unless this session has revealed the person."""
        who = self._desk.people.who(user_id)
        return Markup('<a href="/people/{}">{}</a>').format(who, visible(self.label(asked, user_id)))

    def label(self, asked: ConsoleRequest, user_id: str) -> str:
        """Return a person's number: masked, unless this session has revealed the person."""
        return user_id if asked.shows(self._desk.people.who(user_id)) else self._desk.masked(user_id)

    def _rendered(self, template: str, values: Mapping[str, Any]) -> str:
        return self._templates.get_template(template).render(**values)
