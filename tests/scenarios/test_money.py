"""Budgets on the whole product: four workers and a model with a price."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import OUR_NUMBER
from tests.conftest import wait_until
from tests.models import TOKENS_IN, TOKENS_OUT, Model, a_model
from tests.scenarios.conftest import Tree
from tests.scenarios.test_operate import dadacat
from worker.budget import LAST_LINES

pytestmark = pytest.mark.road

#: US dollars: the price of one reply of the model, and the budget of a day.
REPLY = (TOKENS_IN * 10 + TOKENS_OUT * 50) / 1e6
DAY = 0.50
PRICES = """
[[models]]
[models.known]
"pricey" = { in = 10, out = 50, sees = true }
[segment]
"+1" = 0.01
"""


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with a_model() as running:
        yield running


@pytest.fixture(scope="module")
def tree(start_tree: Callable[..., Tree], model: Model, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    prices = tmp_path_factory.mktemp("prices") / "prices.toml"
    prices.write_text(PRICES)
    return start_tree(
        workers=4, CAT_ENGINES="openai:pricey", OPENAI_BASE_URL=model.url, PRICES_FILE=str(prices),
        MODEL_BUDGET_DAY=str(DAY), SMS_BUDGET_PERSON_DAY="0.90", REPLY_MAX_SEGMENTS="1",
        DOUBLE_TEXT_POLICY="each", MEMORY_TOKENS="150",
    )  # fmt: skip


def metadata(tree: Tree, person: str) -> dict[str, Any]:
    item = tree.dynamodb.get_item(
        TableName="DadaCatConversations", Key={"user_id": {"S": person}}, ConsistentRead=True
    )["Item"]
    return dict(json.loads(item["metadata"]["S"])) if "metadata" in item else {}


def is_summary(prompt: list[dict[str, Any]]) -> bool:
    return "notes for a cat" in prompt[0]["content"]


def last_prompt(model: Model) -> list[dict[str, Any]]:
    """Return the latest prompt for a reply: a memory task may ask the model meanwhile."""
    return next(prompt for prompt in reversed(model.asked) if not is_summary(prompt))


def answered(tree: Tree, person: str, replies: int) -> None:
    wait_until(lambda: len(tree.replies(person)) == replies, what=f"reply {replies}")


def test_what_left_the_window_is_remembered(tree: Tree, model: Model) -> None:
    person = "+15557770001"
    model.says = lambda request: (
        "ada and the cat talk about trains." if is_summary(request["messages"]) else "prrt. a train of mice."
    )
    # One after the other: the carrier posts texts in parallel, and they may reach the webhook in another order. Those
    # of the same millisecond are folded together, and later.
    talk = ["my name is Ada", *[f"and another thing about trains, number {number}" for number in range(9)]]
    for number, body in enumerate(talk, 1):
        tree.text(body, sender=person)
        answered(tree, person, number)
    wait_until(lambda: metadata(tree, person).get("memory", {}).get("summary"), seconds=40, what="a memory")
    # A visit that is still in progress uses the conversation as it was at its beginning.
    tree.wait_settled()

    tree.text("who am i?", sender=person)
    answered(tree, person, 11)

    prompt = last_prompt(model)
    assert prompt[-1]["role"] == "user"
    assert "told by the person before: my name is ada\n" in prompt[-1]["content"]
    assert "talked about before: ada and the cat talk about trains." in prompt[-1]["content"]
    assert "Ada" not in prompt[0]["content"]

    tree.text("reset", sender=person)
    answered(tree, person, 12)
    tree.text("and who am i now?", sender=person)
    answered(tree, person, 13)
    assert "ada" not in json.dumps(last_prompt(model)[1:]).lower()
    memory = metadata(tree, person)["memory"]
    assert list(memory) == ["through"]


def test_a_picture_is_shown_to_a_model_that_sees(tree: Tree, model: Model) -> None:
    person, png = "+15557770002", b"\x89PNG\r\n\x1a\n" + b"a cat on a roof" * 40
    model.says = lambda _: "prrt. that roof is mine."
    uploaded = httpx.post(
        f"{tree.urls['twilio']}/phone/pictures", content=png, headers={"content-type": "image/png"}, timeout=10
    ).json()["sid"]
    httpx.post(
        f"{tree.urls['twilio']}/phone/texts",
        json={"from": person, "to": OUR_NUMBER, "body": "", "pictures": [uploaded]}, timeout=10,
    )  # fmt: skip
    wait_until(lambda: tree.replies(person), seconds=20, what="the reply")

    assert tree.replies(person)[0]["body"] == "prrt. that roof is mine."
    words, picture = model.asked[-1][-1]["content"]
    assert words["text"].endswith("]\n\n(a picture)")
    assert base64.b64decode(picture["image_url"]["url"].removeprefix("data:image/png;base64,")) == png
    (row,) = [row for row in tree.rows(person) if row["message_key"].startswith("in#")]
    assert uploaded in str(row["media"])


def test_the_day_ends_within_its_budget_the_one_that_spends_it(tree: Tree, model: Model) -> None:
    model.says = lambda request: f"prrt. {request['messages'][-1]['content'][-20:]}"
    people = [f"+1555777{number:04d}" for number in range(1000, 1060)]
    dice = random.Random(4)
    texts = [(person, f"thing {number}") for number in range(2) for person in people]
    dice.shuffle(texts)
    for person, body in texts:
        tree.text(body, sender=person)
    wait_until(lambda: sum(len(tree.replies(person)) for person in people) == len(texts), seconds=60, what="replies")

    account = json.loads(dadacat(tree, "costs", "--since", "1d", "--by", "engine", "--json"))
    engines = {line["name"]: line for line in account["lines"]}
    assert account["total"]["model_usd"] <= DAY
    # Little of the budget is left unused: each reservation is about twice the price of a reply.
    assert account["total"]["model_usd"] > DAY - 6 * REPLY
    assert engines["dada"]["replies"] > 0
    assert engines["openai:pricey"]["replies"] + engines["dada"]["replies"] == account["total"]["replies"]
    spent = len(model.asked) * REPLY
    assert account["total"]["model_usd"] == pytest.approx(spent)

    # on a busy machine the model may also have been too slow for one of them
    by_heart = next(
        row for person in people for row in tree.rows(person) if "over the budget" in str(row.get("silent_engines"))
    )
    assert "over the budget" in " ".join(dadacat(tree, "explain", by_heart["turn"]).split())


def spend_the_rest(tree: Tree, model: Model) -> None:
    """Text one by one until no model is asked: what was reserved in parallel may have left some money."""
    for number in range(1, 100):
        asked, person = len(model.asked), f"+1555777{4000 + number}"
        tree.text("is the till open?", sender=person)
        answered(tree, person, 1)
        if len(model.asked) == asked:
            return
    raise AssertionError("the budget has no end")


def test_an_emptied_redis_is_no_new_quota(tree: Tree, model: Model) -> None:
    spend_the_rest(tree, model)
    before, person = len(model.asked), "+15557772000"
    with tree.redis as client:
        client.flushall()

    tree.text("is the till open?", sender=person)
    wait_until(lambda: tree.replies(person), seconds=40, what="a reply")

    assert len(model.asked) == before
    assert float(json.loads(dadacat(tree, "costs", "--json"))["total"]["model_usd"]) <= DAY


def test_a_person_over_the_budget_hears_one_last_line(tree: Tree) -> None:
    person = "+15557773000"
    for number in range(100):
        tree.text(f"thing {number}", sender=person)
    wait_until(lambda: len(tree.rows(person)) >= 100, seconds=60, what="a hundred rows")
    tree.wait_settled(seconds=60)

    bodies = [message["body"] for message in tree.replies(person)]
    # The person's budget is 90 cents, and a message costs one.
    assert len(bodies) == 91
    assert bodies[-1] == LAST_LINES["en"]
    assert bodies.count(LAST_LINES["en"]) == 1
    silent = [row for row in tree.rows(person) if row.get("state") == "SILENT"]
    assert {row["reason"] for row in silent} == {"over the budget"}
    assert len(silent) == 9


def test_costs_are_shown_by_day_and_person_and_drawn(tree: Tree, tmp_path: Path) -> None:
    picture = tmp_path / "costs.svg"

    table = dadacat(tree, "costs", "--by", "person", "--limit", "3", "--plot", str(picture))

    assert "+15557773000" not in table
    assert "**00 " in table
    assert "more lines" in table
    assert "+15557773000" in dadacat(tree, "costs", "--by", "person", "--numbers")
    svg = picture.read_text()
    assert svg.count('class="rect') >= 3
    assert "kozea" not in svg
    assert "total" in dadacat(tree, "costs")
    assert "a duration is" in dadacat(tree, "costs", "--since", "yesterday", code=2)
