"""Rotate Twilio's auth token: a function that Secrets Manager calls in four steps.

Twilio signs with the primary token, and takes a secondary one beside it until that is promoted
(https://www.twilio.com/docs/iam/api/authtoken). So the new token reaches every process before it is promoted:

    createSecret   a secondary token is made; the pending secret has it first and the old one second
    setSecret      nothing
    testSecret     Twilio takes the new token
    finishSecret   the pending secret becomes current, the services start anew with it, and the token is promoted

Every step can be repeated. A rotation that ended before its promotion is finished by the next one.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from base64 import b64encode
from http import HTTPStatus
from typing import Any, Protocol

#: Twilio answers such requests within a second; the function has 15 minutes for all its steps.
TWILIO_SECONDS = 20
#: How often, and how many times, the services are asked whether all their processes are new: 12 minutes.
POLL = {"Delay": 15, "MaxAttempts": 48}
CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"


class Twilio(Protocol):
    """The auth tokens of the account."""

    def takes(self, token: str) -> bool:
        """Return whether a token is valid."""

    def renew_secondary(self, token: str) -> str:
        """Replace the secondary token, if there is one, and return the new one; `token` logs in."""

    def promote(self, token: str) -> None:
        """Make the secondary token, which is `token`, the primary one; the old one ends."""


class TwilioApi:
    """`Twilio` over HTTP."""

    def __init__(self, account: str, *, accounts: str, api: str) -> None:
        self._account = account
        self._accounts = accounts
        self._api = api

    def takes(self, token: str) -> bool:
        """Return whether a token is valid."""
        try:
            self._ask("GET", f"{self._api}/2010-04-01/Accounts/{self._account}.json", token)
        except urllib.error.HTTPError as exc:
            if exc.code == HTTPStatus.UNAUTHORIZED:
                return False
            raise
        return True

    def renew_secondary(self, token: str) -> str:
        """Replace the secondary token, if there is one, and return the new one."""
        address = f"{self._accounts}/v1/AuthTokens/Secondary"
        try:
            self._ask("DELETE", address, token)
        except urllib.error.HTTPError as exc:
            if exc.code != HTTPStatus.NOT_FOUND:
                raise
        return str(self._ask("POST", address, token)["secondary_auth_token"])

    def promote(self, token: str) -> None:
        """Make the secondary token the primary one."""
        self._ask("POST", f"{self._accounts}/v1/AuthTokens/Promote", token)

    def _ask(self, method: str, url: str, token: str) -> Any:  # Any: Twilio's JSON
        login = b64encode(f"{self._account}:{token}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/x-www-form-urlencoded"}
        request = urllib.request.Request(url, method=method, headers=headers)  # noqa: S310 - Twilio's address
        try:
            with urllib.request.urlopen(request, timeout=TWILIO_SECONDS) as answer:  # noqa: S310 - the same
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as exc:
            exc.close()  # it is an answer, with a connection
            raise


class Rotation:
    """The four steps for one secret. `secrets` and `ecs` are boto3's clients."""

    def __init__(self, secret: str, version: str, *, secrets: Any, ecs: Any, twilio: Twilio) -> None:
        self._secret = secret
        self._version = version
        self._secrets = secrets
        self._ecs = ecs
        self._twilio = twilio

    def create(self) -> None:
        """Make a secondary token and keep it in the pending version, unless an earlier call did."""
        if self._is_made():
            return
        current = self._tokens(VersionStage=CURRENT)
        self._promote(current)
        token = current["auth_token"]
        tokens = {"auth_token": self._twilio.renew_secondary(token), "auth_token_secondary": token}
        self._secrets.put_secret_value(
            SecretId=self._secret,
            ClientRequestToken=self._version,
            SecretString=json.dumps(tokens),
            VersionStages=[PENDING],
        )

    def test(self) -> None:
        """Raise `ValueError` unless Twilio takes the new token."""
        if not self._twilio.takes(self._tokens(VersionId=self._version)["auth_token"]):
            raise ValueError("Twilio does not take the new token")

    def finish(self, cluster: str, services: list[str]) -> None:
        """Give every process both tokens, then promote the new one."""
        stages = self._secrets.describe_secret(SecretId=self._secret)["VersionIdsToStages"]
        before = next(version for version, names in stages.items() if CURRENT in names)
        if before != self._version:
            self._secrets.update_secret_version_stage(
                SecretId=self._secret,
                VersionStage=CURRENT,
                MoveToVersionId=self._version,
                RemoveFromVersionId=before,
            )
        for service in services:
            self._ecs.update_service(cluster=cluster, service=service, forceNewDeployment=True)
        self._ecs.get_waiter("services_stable").wait(cluster=cluster, services=services, WaiterConfig=POLL)
        self._promote(self._tokens(VersionStage=CURRENT))

    def _promote(self, tokens: dict[str, str]) -> None:
        """Promote the first token if the second one is still valid, so that it is the primary one."""
        old = tokens["auth_token_secondary"]
        if old and self._twilio.takes(old):
            self._twilio.promote(tokens["auth_token"])

    def _tokens(self, **version: str) -> dict[str, str]:
        tokens: dict[str, str] = json.loads(
            self._secrets.get_secret_value(SecretId=self._secret, **version)["SecretString"]
        )
        return tokens

    def _is_made(self) -> bool:
        """Return whether an earlier call of the first step put the new token into this version."""
        try:
            self._tokens(VersionId=self._version)
        except self._secrets.exceptions.ResourceNotFoundException:
            return False
        return True


def handler(event: dict[str, str], _: object) -> None:
    """Take one step."""
    import boto3  # noqa: PLC0415 - the tests of the steps need no AWS

    rotation = Rotation(
        event["SecretId"],
        event["ClientRequestToken"],
        secrets=boto3.client("secretsmanager"),
        ecs=boto3.client("ecs"),
        twilio=TwilioApi(
            os.environ["ACCOUNT_SID"], accounts="https://accounts.twilio.com", api="https://api.twilio.com"
        ),
    )
    match event["Step"]:
        case "createSecret":
            rotation.create()
        case "testSecret":
            rotation.test()
        case "finishSecret":
            rotation.finish(os.environ["CLUSTER"], os.environ["SERVICES"].split(","))
