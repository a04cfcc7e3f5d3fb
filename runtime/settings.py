"""The settings: read once and validated at start.

One error lists every invalid setting by name; a setting's value is never shown.

The reference in `docs/reference/settings.md` is generated from this file by `dadacat settings --markdown`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

TWILIO_API = "https://api.twilio.com"


class SettingsError(Exception):
    """The environment holds invalid settings; the message has one line for each of them."""


class DoubleTextPolicy(StrEnum):
    """How several waiting texts of one person are answered."""

    EACH = "each"
    COALESCE = "coalesce"
    LATEST = "latest"


_NUMBER = re.compile(r"\+[1-9][0-9]{1,14}|[0-9]{3,8}")

Seconds = Annotated[float, Field(gt=0)]
#: US dollars; None: no limit.
Dollars = Annotated[float | None, Field(ge=0, le=1_000_000)]
#: One line, short enough to leave room for the reply.
Line = Annotated[str, Field(max_length=120, pattern=r"^[^\r\n]*$")]

#: A whole reply, or `off`.
HelpLine = Annotated[str, Field(max_length=300)]
#: How often something may happen; 0: no limit.
Times = Annotated[int, Field(ge=0, le=10_000_000)]
#: Segments per second; 0: no pacing.
Pace = Annotated[float, Field(ge=0, le=1000)]


class Settings(BaseModel):
    """All settings. In the environment their names are in capitals, such as `REDIS_URL`."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, str_strip_whitespace=True)

    twilio_account_sid: str = Field(
        "",
        description="The account that owns the numbers; requests for other accounts are refused.",
    )
    twilio_auth_token: str = Field(
        "",
        description="Verifies Twilio's webhook signatures; also logs in to Twilio's API unless an API key is set.",
    )
    twilio_auth_token_secondary: str = Field(
        "",
        description="A second token that may sign webhooks, for use during a rotation.",
    )
    twilio_auth_token_file: str = Field(
        "",
        description=(
            "A file with one auth token per line, such as a mounted secret. It is read again when it changes. "
            "Its tokens come before those of the two settings above."
        ),
    )
    twilio_shared_keys: str = Field(
        "",
        description="Secrets of Twilio's shared keys that may sign webhooks, separated by commas during a rotation.",
    )
    webhook_signing: Literal["tokens", "shared-keys", "both"] = Field(
        "tokens",
        description=(
            "Which signatures are accepted: `tokens` (auth tokens, HMAC-SHA1), `shared-keys` (shared keys, "
            "HMAC-SHA256) or `both`. The request has no say in it."
        ),
    )
    twilio_api_key: str = Field(
        "",
        description="An API key for Twilio's API; together with its secret it replaces the auth token there.",
    )
    twilio_api_secret: str = Field("", description="The secret of the API key.")
    twilio_phone_number: str = Field(
        "",
        description="The number that people text, or several separated by commas. Texts to other numbers are refused.",
    )
    whatsapp: Literal["on", "off"] = Field(
        "off",
        description=(
            "`on`: the numbers are WhatsApp senders too, and the reconciler also looks for their texts and "
            "prices in Twilio's list."
        ),
    )
    twilio_messaging_service_sid: str = Field(
        "",
        description="A Messaging Service whose texts are accepted too.",
    )
    twilio_api_base_url: str = Field(
        TWILIO_API,
        description="The address of Twilio's API. Under `dadacat up`, setting it replaces the simulator.",
    )
    public_url: str = Field(
        "http://127.0.0.1:8400",
        description="The webhook's address, as Twilio calls and signs it.",
    )
    redis_url: str = Field(
        "redis://127.0.0.1:6379/0",
        description=(
            "Redis, for the inbox and as Celery's broker. Under `dadacat up`, setting it replaces the embedded server."
        ),
    )
    aws_endpoint_url: str | None = Field(
        None,
        description=(
            "A DynamoDB-compatible server; empty: AWS. Under `dadacat up`, setting it replaces the embedded store."
        ),
    )
    aws_region: str = Field(
        "us-east-1",
        description="The AWS region of the tables.",
    )
    dynamodb_table_name: str = Field("DadaCatConversations", description="The table of conversations.")
    dynamodb_messages_table_name: str = Field("DadaCatMessages", description="The table of the journal.")
    cat_engines: str = Field(
        "dada",
        description=(
            "Engines in the order in which they are asked: `openai:<model>`, `bedrock:<model id>`, `dada`. "
            "`dada` always follows the last."
        ),
    )
    openai_api_key: str = Field(
        "",
        description="The API key for `openai:` engines.",
    )
    openai_base_url: str | None = Field(None, description="Another server that speaks OpenAI's protocol.")
    bedrock_endpoint_url: str | None = Field(
        None, description="Another server that speaks Bedrock's protocol; empty: AWS, in `AWS_REGION`."
    )
    conversations: Literal["person", "number"] = Field(
        "person",
        description=(
            "`person`: one conversation per person, whichever of the numbers is texted. `number`: one per person "
            "and number, with a `user_id` such as `+15551230001/+15005550006`. Do not change it while texts are "
            "waiting."
        ),
    )
    double_text_policy: DoubleTextPolicy = Field(
        DoubleTextPolicy.COALESCE,
        description=(
            "`each`: one reply to every text. `coalesce`: one reply to texts that arrive together. `latest`: a "
            "reply to the newest text only."
        ),
    )
    help_line: HelpLine = Field(
        "DadaCat is a cat that answers texts. STOP ends it, RESET makes it forget. Message and data rates may apply.",
        description=(
            "The reply to HELP, unless Twilio says that it has replied. `off`: no reply, for numbers whose HELP "
            "Twilio answers."
        ),
    )
    limits: Literal["on", "off"] = Field(
        "on",
        description="`off`: no rate limits at all, for load and chaos tests.",
    )
    limit_texts_per_minute: Times = Field(
        20,
        description="Texts of one person that are answered per minute; further texts get no reply. 0: no limit.",
    )
    limit_texts_per_day: Times = Field(
        600,
        description="The same per day.",
    )
    limit_identical_per_hour: Times = Field(
        10,
        description="Identical texts of one person that are answered per hour; six times as many if the text is short.",
    )
    limit_turns_per_minute: Times = Field(
        20,
        description="Replies to one person per minute.",
    )
    limit_turns_per_hour: Times = Field(
        240,
        description="The same per hour.",
    )
    limit_replies_per_30_seconds: Times = Field(
        20,
        description=(
            "Replies from one number to one person in 30 seconds; further replies wait. After 30, Twilio sends "
            "none (14107)."
        ),
    )
    limit_replies_per_hour: Times = Field(
        5000,
        description="Replies per hour to all people together.",
    )
    loop_replies: int = Field(
        15,
        ge=0,
        le=100,
        description=(
            "After this many consecutive texts that came faster than a person can write, or that repeat the "
            "cat's words, the person gets no reply for an hour. 0: never."
        ),
    )
    answer_short_codes: Literal["on", "off"] = Field(
        "off",
        description="`on`: texts from short codes are answered too. Alphanumeric senders are never answered.",
    )
    countries: str = Field(
        "",
        description=(
            "Countries whose people are answered, such as `US,CA,DE`; empty: all. Google's libphonenumber finds "
            "a number's country."
        ),
    )
    pace_long_code: Pace = Field(
        0.0,
        description=(
            "Segments per second that are sent from each long number. 0: no pacing; Twilio queues the messages."
        ),
    )
    pace_toll_free: Pace = Field(0.0, description="The same for toll-free numbers.")
    pace_short_code: Pace = Field(0.0, description="The same for short codes.")
    quiet_window_seconds: Seconds = Field(
        0.5,
        description="`coalesce` and `latest`: how long the person must have sent nothing before a reply is composed.",
    )
    quiet_limit_seconds: Seconds = Field(
        3.0,
        description="The longest wait for such a pause.",
    )
    reply_deadline_seconds: Seconds = Field(
        20.0,
        description="The time for composing a reply, all engines together.",
    )
    reply_max_segments: int = Field(3, ge=1, le=10, description="The longest reply, in SMS segments.")
    reply_emoji: bool = Field(
        False,
        description=(
            "Whether a model's emoji are sent. One emoji makes the whole text UCS-2, with 70 characters per segment."
        ),
    )
    first_contact_line: Line = Field(
        "",
        description="A line under the first reply that a person ever gets, such as who texts and how to stop it.",
    )
    footer_line: Line = Field(
        "",
        description="A line under every nth reply, such as where to donate; `FOOTER_EVERY` is n.",
    )
    footer_every: int = Field(
        0,
        ge=0,
        le=10_000,
        description="The footer line stands under every reply whose number is a multiple of this. 0: under none.",
    )
    reply_max_parts: int = Field(
        1,
        ge=1,
        le=10,
        description=(
            "The greatest number of messages for one reply: one line each, in order. 1: the whole reply in one message."
        ),
    )
    memory_tokens: int = Field(
        2000,
        ge=100,
        le=100_000,
        description="How much of a conversation a model is shown, in tokens: whole turns, newest first.",
    )
    memory_hours: Seconds = Field(
        72.0,
        description=(
            "The greatest age of turns that a model is shown. Older turns, and those beyond `MEMORY_TOKENS`, are "
            "folded into a summary and into what the person said about themselves."
        ),
    )
    model_budget_person_day: Dollars = Field(
        1.0,
        description=(
            "US dollars that models may cost for one person per day (UTC); `off`: no limit. Above it, the "
            "offline poet replies."
        ),
    )
    model_budget_day: Dollars = Field(10.0, description="The same for all people together.")
    model_budget_month: Dollars = Field(
        100.0,
        description="The same for all people together, per calendar month.",
    )
    sms_budget_person_day: Dollars = Field(
        None,
        description=(
            "US dollars that messages to one person may cost per day (UTC); `off`: no limit. Above it, the "
            "person gets one last line and then no reply."
        ),
    )
    sms_budget_day: Dollars = Field(None, description="The same for all people together.")
    sms_budget_month: Dollars = Field(
        None,
        description="The same for all people together, per calendar month.",
    )
    prices_file: str = Field(
        "",
        description=(
            "A TOML file whose entries override DadaCat's price tables: `[[models]]`, `[segment]`, `[channel]`."
        ),
    )
    retention_days: int = Field(
        0,
        ge=0,
        le=36_500,
        description=(
            "Days after which DynamoDB's time to live deletes what was said; for a conversation they count from "
            "its last reply. A conversation in which the person sent STOP is kept. 0: everything is kept."
        ),
    )
    redact_after_delivery: Literal["on", "off"] = Field(
        "off",
        description=(
            "`on`: once a reply is delivered, Twilio is asked to delete its words and those of the text that it "
            "answers."
        ),
    )
    max_age_seconds: Seconds = Field(
        21600.0,
        description="A text older than this is not answered, and a reply older than this is not sent.",
    )
    sms_validity_seconds: int = Field(
        3600,
        ge=1,
        le=36000,
        description="How long Twilio may hold a message back; after that, a send of unknown outcome becomes HELD.",
    )
    unknown_patience_seconds: Seconds = Field(
        60.0,
        description="How long a reply part of unknown outcome holds back the person's next reply.",
    )
    lease_seconds: Seconds = Field(
        20.0,
        description="How long a lease lasts without renewal, that is, how long a dead worker keeps a person.",
    )
    lease_renew_seconds: Seconds = Field(
        5.0,
        description="How often a live worker renews its leases.",
    )
    sweep_interval_seconds: Seconds = Field(
        15.0,
        description="How often the sweep looks for lost wake-up tasks.",
    )
    sweep_person_seconds: Seconds = Field(
        60.0,
        description="The shortest time between two wake-up tasks that the sweep sends for one person.",
    )
    reconcile_interval_seconds: Seconds = Field(
        300.0,
        description="How often the reconciler looks at the journal's unsettled rows.",
    )
    unsettled_after_seconds: Seconds = Field(
        60.0,
        description="If a row is unsettled for longer than this, the reconciler puts its text back into the inbox.",
    )
    probe_seconds: Seconds = Field(
        30.0,
        description=(
            "While the account or its configuration is wrong, how often one send is tried to see whether it still is."
        ),
    )
    worker_concurrency: int = Field(
        32,
        ge=1,
        le=512,
        description="Conversations that one worker serves at a time, each in a thread or in a process.",
    )
    worker_pool: Literal["threads", "prefork"] = Field(
        "threads",
        description="How a worker runs its conversations: `threads` of one process, or `prefork`, one process each.",
    )
    who_key: str = Field(
        "",
        description=(
            "Key of the hash that hides numbers in Redis and Flower. Empty: derived from the account. Changing "
            "it renames every inbox: let the workers empty them first."
        ),
    )
    log_format: Literal["json", "console"] = Field(
        "json",
        description="`json`: one JSON object per line. `console`: lines for people.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least important level that is logged."
    )
    flower_basic_auth: str = Field(
        "",
        description="`user:password` for Flower. `dadacat flower` does not start without it.",
    )
    simulator_data: str = Field("", description="The simulator's database file; empty: in memory.")
    simulator_faults: str = Field(
        "",
        description="A scenario file with the faults that the simulator produces from its start.",
    )
    simulator_numbers: str = Field(
        "+15005550006",
        description="Numbers that the simulator owns if `TWILIO_PHONE_NUMBER` is empty.",
    )

    @field_validator("aws_endpoint_url", "openai_base_url", "bedrock_endpoint_url", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @field_validator(
        "model_budget_person_day", "model_budget_day", "model_budget_month",
        "sms_budget_person_day", "sms_budget_day", "sms_budget_month", mode="before",
    )  # fmt: skip
    @classmethod
    def _off_is_no_limit(cls, value: object) -> object:
        return None if value == "off" else value

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: str) -> str:
        # Celery's broker does not accept `unix://`.
        if urlsplit(value).scheme not in {"redis", "rediss"}:
            raise ValueError("must begin with redis:// or rediss://")
        return value

    @field_validator("public_url", "twilio_api_base_url", "aws_endpoint_url", "openai_base_url", "bedrock_endpoint_url")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value is not None and (urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).hostname):
            raise ValueError("must be an http:// or https:// address")
        return value.rstrip("/") if value else value

    @field_validator("twilio_phone_number", "simulator_numbers")
    @classmethod
    def _are_numbers(cls, value: str) -> str:
        for number in filter(None, (part.strip() for part in value.split(","))):
            if not _NUMBER.fullmatch(number):
                raise ValueError("each number is + and up to 15 digits, or a short code")
        return value

    @field_validator("countries")
    @classmethod
    def _are_countries(cls, value: str) -> str:
        codes = frozenset(filter(None, (code.strip().upper() for code in value.split(","))))
        if codes:
            # Imported here because the library's tables are needed only if COUNTRIES is set.
            from phonenumbers import SUPPORTED_REGIONS  # noqa: PLC0415

            if codes - SUPPORTED_REGIONS:
                raise ValueError("each country is two letters of ISO 3166, such as US or DE")
        return value

    @field_validator("cat_engines")
    @classmethod
    def _known_engines(cls, value: str) -> str:
        for name in filter(None, (part.strip() for part in value.split(","))):
            kind, _, model = name.partition(":")
            if kind not in {"dada", "openai", "bedrock"} or (kind != "dada" and not model):
                raise ValueError("each engine is dada, openai:<model> or bedrock:<model id>")
        return value

    @field_validator("flower_basic_auth")
    @classmethod
    def _is_login(cls, value: str) -> str:
        if value and (":" not in value or value.startswith(":") or value.endswith(":")):
            raise ValueError("must be user:password")
        return value

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.lease_renew_seconds * 2 > self.lease_seconds:
            raise ValueError("LEASE_RENEW_SECONDS must be at most half of LEASE_SECONDS")
        if self.quiet_window_seconds > self.quiet_limit_seconds:
            raise ValueError("QUIET_WINDOW_SECONDS must be at most QUIET_LIMIT_SECONDS")
        if self.footer_every and not self.footer_line:
            raise ValueError("FOOTER_EVERY needs a FOOTER_LINE")
        if "openai:" in self.cat_engines and not (self.openai_api_key or self.openai_base_url):
            raise ValueError(
                "CAT_ENGINES names an openai: engine, which needs OPENAI_API_KEY,"
                " or OPENAI_BASE_URL for a server of your own"
            )
        if self.webhook_signing != "tokens" and not self.shared_keys:
            raise ValueError("WEBHOOK_SIGNING names shared keys, but TWILIO_SHARED_KEYS is empty")
        if bool(self.twilio_api_key) != bool(self.twilio_api_secret):
            raise ValueError("TWILIO_API_KEY and TWILIO_API_SECRET must be set together")
        return self

    @classmethod
    def load(cls, environment: Mapping[str, str]) -> Settings:
        """Read settings from `environment`.

        Raises `SettingsError`, which names every invalid setting and shows no value.
        """
        given = {name: environment[name.upper()] for name in cls.model_fields if name.upper() in environment}
        given = {name: value for name, value in given.items() if value != "" or cls.model_fields[name].default == ""}
        try:
            return cls.model_validate(given)
        except ValidationError as exc:
            raise SettingsError("\n".join(_sentence(error) for error in exc.errors(include_input=False))) from None

    @property
    def numbers(self) -> tuple[str, ...]:
        """Our own numbers, such as `+15005550006`."""
        return tuple(filter(None, (number.strip() for number in self.twilio_phone_number.split(","))))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Our own numbers on every channel, such as `+15005550006` and `whatsapp:+15005550006`."""
        channels = ("", "whatsapp:") if self.whatsapp == "on" else ("",)
        return tuple(f"{channel}{number}" for channel in channels for number in self.numbers)

    @property
    def country_codes(self) -> frozenset[str]:
        """Countries whose people are answered; empty: all."""
        return frozenset(filter(None, (code.strip().upper() for code in self.countries.split(","))))

    @property
    def per_number(self) -> bool:
        """Whether a person has a separate conversation with each of our numbers."""
        return self.conversations == "number"

    @property
    def engine_names(self) -> tuple[str, ...]:
        """The engines, in order."""
        return tuple(filter(None, (name.strip() for name in self.cat_engines.split(","))))

    @property
    def tokens(self) -> tuple[str, ...]:
        """The account's current auth tokens: the valid one, and during a rotation another."""
        given = (*self._tokens_in_file(), self.twilio_auth_token, self.twilio_auth_token_secondary)
        return tuple(dict.fromkeys(filter(None, given)))

    @property
    def shared_keys(self) -> tuple[str, ...]:
        """Secrets of Twilio's shared keys."""
        return tuple(filter(None, (key.strip() for key in self.twilio_shared_keys.split(","))))

    @property
    def api_logins(self) -> tuple[tuple[str, str], ...]:
        """The current user names and passwords for Twilio's API."""
        return self.logins_with(self.tokens)

    def logins_with(self, tokens: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """Return logins for Twilio's API: the API key's, or the account's with each of the tokens."""
        if self.twilio_api_key:
            return ((self.twilio_api_key, self.twilio_api_secret),)
        return tuple((self.twilio_account_sid, token) for token in tokens)

    def _tokens_in_file(self) -> tuple[str, ...]:
        if not self.twilio_auth_token_file:
            return ()
        try:
            return tuple(line.strip() for line in Path(self.twilio_auth_token_file).read_text().splitlines())
        except (OSError, UnicodeDecodeError):
            return ()

    @property
    def who_key_bytes(self) -> bytes:
        """The key of the hash that hides numbers, the same in every process of an installation."""
        return hashlib.blake2b((self.who_key or f"dadacat:{self.twilio_account_sid}").encode()).digest()

    def require_twilio(self) -> None:
        """Raise `SettingsError` unless the account and its auth token are set."""
        missing = []
        if not self.twilio_account_sid:
            missing.append("TWILIO_ACCOUNT_SID is missing: Twilio's console shows it")
        if not self.tokens and self.twilio_auth_token_file:
            missing.append("TWILIO_AUTH_TOKEN_FILE holds no token, or cannot be read")
        elif not self.tokens:
            missing.append("TWILIO_AUTH_TOKEN is missing: Twilio's console shows it")
        if missing:
            raise SettingsError("\n".join(missing))


def _sentence(error: Mapping[str, object]) -> str:
    location = error.get("loc")
    name = str(location[0]).upper() if isinstance(location, tuple) and location else ""
    message = str(error.get("msg", "")).removeprefix("Value error, ")
    return f"{name} {message[:1].lower()}{message[1:]}" if name else message


def without_settings(given: Mapping[str, str]) -> dict[str, str]:
    """Return `given` without our settings and without AWS's.

    For a process tree that must reach no service but its own.
    The tree must also run in a folder without `.env`, because `.env` supplies what the environment lacks.
    """
    ours = {name.upper() for name in Settings.model_fields}
    return {name: value for name, value in given.items() if name not in ours and not name.startswith("AWS_")}


def environment() -> Mapping[str, str]:
    """Return the process's environment, completed by `.env` in the current directory."""
    from_file = {name: value for name, value in dotenv_values(Path(".env")).items() if value is not None}
    return {**from_file, **os.environ}
