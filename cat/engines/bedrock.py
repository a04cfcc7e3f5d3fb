"""The server of models on Amazon Bedrock: boto3's Converse API has one request format for every model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

import boto3
import httpx2
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cat import prompt
from cat.engines import http
from cat.engines.answer import Answer
from cat.engines.compatibility import Request
from cat.engines.errors import Rejected
from cat.ports import Picture
from cat.prompt import Prompt

if TYPE_CHECKING:
    from botocore.client import BaseClient


class BedrockServer:
    """Speaks to Bedrock in a region, or to another server at `endpoint_url`.

    boto3 writes, signs and reads; the bytes go through `cat.engines.http`, whose calls have a deadline.
    The variable `AWS_ENDPOINT_URL` is ignored: it points to DynamoDB.
    """

    limits = ("maxTokens",)

    def __init__(self, model: str, *, region_name: str, endpoint_url: str | None = None) -> None:
        self._model = model
        self._http = http.client()
        self._client: BaseClient = boto3.session.Session().client(
            "bedrock-runtime",
            region_name=region_name,
            endpoint_url=endpoint_url,
            config=Config(
                retries={"mode": "standard", "total_max_attempts": 1},
                ignore_configured_endpoint_urls=endpoint_url is None,  # type: ignore[call-arg]  # not in the stubs
            ),
        )
        # what a handler of this event returns is taken as the answer
        self._client.meta.events.register("before-send.bedrock-runtime.Converse", self._transfer)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._http.close()

    def options(self, asked: Prompt, *, thinks: bool) -> Mapping[str, Any]:  # Any: JSON
        """Return sampling settings and stop strings."""
        del thinks
        return {"temperature": prompt.TEMPERATURE, "stopSequences": list(prompt.STOP)} if asked.speaks else {}

    def send(self, request: Request) -> Answer:
        """Send a request."""
        messages = [{"role": role, "content": [{"text": words}]} for role, words in request.turns]
        blocks: list[Any] = messages[-1]["content"]  # type: ignore[assignment]  # a list of blocks of all kinds
        blocks += [block for picture in request.pictures if (block := _picture(picture))]
        try:
            given: dict[str, Any] = self._client.converse(  # type: ignore[attr-defined]  # generated at run time
                modelId=self._model,
                messages=messages,
                inferenceConfig=dict(request.options),
                **({"system": [{"text": request.system}]} if request.system else {}),
            )
        except ClientError as exc:
            error = exc.response.get("Error", {})
            status = int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            raise Rejected(str(error.get("Code", "ClientError")), status, str(error.get("Message", ""))) from exc
        except (httpx2.TransportError, BotoCoreError) as exc:
            raise http.unreached(exc) from exc
        usage = given.get("usage") or {}
        return Answer(
            content=[{"text": block.get("text", "")} for block in given["output"]["message"]["content"]],
            finish=str(given.get("stopReason") or ""),
            model=self._model,
            tokens_in=usage.get("inputTokens"),
            tokens_out=usage.get("outputTokens"),
        )

    def _transfer(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        """Send a signed request. Raises `httpx2.TransportError`."""
        headers = {name: _string(value) for name, value in request.headers.items()}
        answer = self._http.request(request.method, request.url, content=cast("bytes", request.body), headers=headers)
        received = HTTPHeaders()
        for name, value in answer.headers.multi_items():
            received[name] = value
        return AWSResponse(request.url, answer.status_code, received, _Raw(answer.content))


class _Raw:
    """A body as botocore reads it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content


def _string(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


#: Converse's names of picture formats, by content type.
_FORMS: Final = {"image/jpeg": "jpeg", "image/png": "png", "image/gif": "gif", "image/webp": "webp"}


def _picture(picture: Picture) -> dict[str, Any] | None:  # Any: Converse's own shape
    form = _FORMS.get(picture.content_type)
    return {"image": {"format": form, "source": {"bytes": picture.data}}} if form else None
