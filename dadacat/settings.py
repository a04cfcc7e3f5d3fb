"""Every setting: read once, validated at start, and all that is wrong said at once, by name, never by value.

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
    """The environment does not describe a DadaCat that can run; one line for each setting that is wrong."""


class DoubleTextPolicy(StrEnum):
    """What several waiting texts of one person become."""

    EACH = "each"
    COALESCE = "coalesce"
    LATEST = "latest"


_NUMBER = re.compile(r"\+[1-9][0-9]{1,14}|[0-9]{3,8}")

Seconds = Annotated[float, Field(gt=0)]
#: US dollars; None: no limit.
Dollars = Annotated[float | None, Field(ge=0, le=1_000_000)]
#: One line that still leaves room for a cat's words.
Line = Annotated[str, Field(max_length=120, pattern=r"^[^\r\n]*$")]

#: A whole reply, or `off`.
HelpLine = Annotated[str, Field(max_length=300)]
#: How often something may happen; 0: as often as it likes.
Times = Annotated[int, Field(ge=0, le=10_000_000)]
#: Segments a second; 0: as they come.
Pace = Annotated[float, Field(ge=0, le=1000)]


class Settings(BaseModel):
    """All settings, by the names that the environment gives them in capitals."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, str_strip_whitespace=True)

    twilio_account_sid: str = Field(
        "", description="The account that owns the numbers; requests of other accounts are refused."
    )
    twilio_auth_token: str = Field(
        "", description="Signs Twilio's webhooks; logs in to its API where there is no API key."
    )
    twilio_auth_token_secondary: str = Field("", description="A second token that may sign, during a rotation.")
    twilio_auth_token_file: str = Field(
        "",
        description="A file with auth tokens, a line each, such as a mounted secret; read anew when it changes. They stand before those above.",
    )
    twilio_shared_keys: str = Field(
        "", description="Secrets of Twilio's shared keys that may sign webhooks, with commas during a rotation."
    )
    webhook_signing: Literal["tokens", "shared-keys", "both"] = Field(
        "tokens",
        description="What may sign webhooks: auth tokens with HMAC-SHA1, shared keys with HMAC-SHA256, or both. What a request says of itself is not asked.",
    )
    twilio_api_key: str = Field(
        "", description="An API key for sending; together with its secret it replaces the token there."
    )
    twilio_api_secret: str = Field("", description="The secret of the API key.")
    twilio_phone_number: str = Field(
        "", description="Our number, or several with commas. Texts to other numbers are refused."
    )
    whatsapp: Literal["on", "off"] = Field(
        "off",
        description="`on`: our numbers are WhatsApp senders too, whose texts and prices are looked for on Twilio's list.",
    )
    twilio_messaging_service_sid: str = Field("", description="A Messaging Service whose texts are ours.")
    twilio_api_base_url: str = Field(
        TWILIO_API, description="Where Twilio's API is. Under `dadacat up`, naming one replaces the simulator."
    )
    public_url: str = Field("http://127.0.0.1:8400", description="The webhook's address as Twilio calls and signs it.")
    redis_url: str = Field(
        "redis://127.0.0.1:6379/0",
        description="Inbox and broker. Under `dadacat up`, naming one replaces the embedded server.",
    )
    aws_endpoint_url: str | None = Field(
        None,
        description="A DynamoDB-compatible server; empty: AWS. Under `dadacat up`, naming one replaces the embedded store.",
    )
    aws_region: str = Field("us-east-1", description="The region of the tables.")
    dynamodb_table_name: str = Field("DadaCatConversations", description="The table of conversations.")
    dynamodb_messages_table_name: str = Field("DadaCatMessages", description="The table of the journal.")
    cat_engines: str = Field(
        "dada",
        description="Engines in order: `openai:<model>`, `bedrock:<model id>`, `dada`. `dada` always stands behind the last.",
    )
    openai_api_key: str = Field("", description="For `openai:` engines.")
    openai_base_url: str | None = Field(None, description="Another server that speaks OpenAI's protocol.")
    bedrock_endpoint_url: str | None = Field(
        None, description="Another server that speaks Bedrock's protocol; empty: AWS, in `AWS_REGION`."
    )
    conversations: Literal["person", "number"] = Field(
        "person",
        description="Who texts two of our numbers has one conversation with both (`person`), or one with each (`number`): then a user id is `+1555…/+1500…`. Not to be changed while texts wait.",
    )
    double_text_policy: DoubleTextPolicy = Field(
        DoubleTextPolicy.COALESCE,
        description="`each`: a reply to every text. `coalesce`: one reply to texts that come together. `latest`: only the newest is answered.",
    )
    help_line: HelpLine = Field(
        "DadaCat is a cat that answers texts. STOP ends it, RESET makes it forget. Message and data rates may apply.",
        description="What HELP is answered with, unless Twilio says that it has answered. `off`: nothing, for numbers whose HELP Twilio answers.",
    )
    limits: Literal["on", "off"] = Field("on", description="`off` turns every rate limit off, for load and chaos.")
    limit_texts_per_minute: Times = Field(
        20, description="Texts of one person that are answered in a minute; what is over is met with silence. 0: all."
    )
    limit_texts_per_day: Times = Field(600, description="The same in a day.")
    limit_identical_per_hour: Times = Field(
        10,
        description="How often one person may say the same in an hour and be answered; six times as often what is short.",
    )
    limit_turns_per_minute: Times = Field(20, description="Replies to one person in a minute.")
    limit_turns_per_hour: Times = Field(240, description="The same in an hour.")
    limit_replies_per_30_seconds: Times = Field(
        20,
        description="Replies from one of our numbers to one person in 30 seconds; after 30 Twilio sends none (14107).",
    )
    limit_replies_per_hour: Times = Field(5000, description="Replies to all people together in an hour.")
    loop_replies: int = Field(
        15,
        ge=0,
        le=100,
        description="After so many texts in a row that nobody can have written so fast, or that are our own words, the cat is silent for an hour. 0: never.",
    )
    answer_short_codes: Literal["on", "off"] = Field(
        "off", description="`on`: texts from short codes are answered too. Senders with letters never are."
    )
    countries: str = Field(
        "", description="Countries whose people are answered, as `US,CA,DE`; empty: all. By Google's libphonenumber."
    )
    pace_long_code: Pace = Field(
        0.0,
        description="Segments a second that leave from each of our long numbers; 0: as they come, and Twilio queues them.",
    )
    pace_toll_free: Pace = Field(0.0, description="The same for toll-free numbers.")
    pace_short_code: Pace = Field(0.0, description="The same for short codes.")
    quiet_window_seconds: Seconds = Field(
        0.5, description="`coalesce` and `latest`: how long the person must have been quiet before the cat thinks."
    )
    quiet_limit_seconds: Seconds = Field(3.0, description="The longest wait for that quiet.")
    reply_deadline_seconds: Seconds = Field(20.0, description="How long the cat may think, all engines together.")
    reply_max_segments: int = Field(3, ge=1, le=10, description="The longest reply, in SMS segments.")
    reply_emoji: bool = Field(
        False,
        description="Whether a model's emoji are sent: one of them makes the whole text UCS-2, 70 characters a segment.",
    )
    first_contact_line: Line = Field(
        "", description="A line under the first reply that somebody ever gets, such as who texts and how to stop it."
    )
    footer_line: Line = Field("", description="A line under every so-many-th reply, such as where one may donate.")
    footer_every: int = Field(0, ge=0, le=10_000, description="Under how many-th reply it stands; 0: under none.")
    reply_max_parts: int = Field(
        1,
        ge=1,
        le=10,
        description="How many messages a reply may be sent in: a line each, in order. 1: all of it in one.",
    )
    memory_tokens: int = Field(
        2000,
        ge=100,
        le=100_000,
        description="How much of a talk a model is shown, in tokens; whole turns, newest first.",
    )
    memory_hours: Seconds = Field(
        72.0,
        description="How old talk may be that is shown; what is older, or too much, is folded into a summary and what the person told about itself.",
    )
    model_budget_person_day: Dollars = Field(
        1.0,
        description="US dollars that models may cost for one person in a day (UTC); `off`: no limit. Over it the poet answers.",
    )
    model_budget_day: Dollars = Field(10.0, description="The same for all people together.")
    model_budget_month: Dollars = Field(100.0, description="The same in a calendar month.")
    sms_budget_person_day: Dollars = Field(
        None,
        description="US dollars that messages to one person may cost in a day (UTC); `off`: no limit. Over it the cat says one last line and is silent.",
    )
    sms_budget_day: Dollars = Field(None, description="The same for all people together.")
    sms_budget_month: Dollars = Field(None, description="The same in a calendar month.")
    prices_file: str = Field(
        "",
        description="A TOML file laid over the price tables that come with DadaCat: `[[models]]`, `[segment]`, `[channel]`.",
    )
    retention_days: int = Field(
        0,
        ge=0,
        le=36_500,
        description="After so many days what was said is deleted by DynamoDB's time to live, a conversation counted from its last reply, and one in which somebody said STOP not at all. 0: it stays.",
    )
    redact_after_delivery: Literal["on", "off"] = Field(
        "off",
        description="`on`: once a reply is delivered, Twilio is asked to forget its words and those of the text that it answers.",
    )
    max_age_seconds: Seconds = Field(
        21600.0, description="A text or a reply older than this is not answered or sent any more."
    )
    sms_validity_seconds: int = Field(
        3600,
        ge=1,
        le=36000,
        description="How long Twilio may hold a message back; after it, a send of unknown outcome is held.",
    )
    unknown_patience_seconds: Seconds = Field(
        60.0, description="How long a part of unknown outcome holds back the person's next reply."
    )
    lease_seconds: Seconds = Field(20.0, description="How long a person stays with a worker that has died.")
    lease_renew_seconds: Seconds = Field(5.0, description="How often a living worker renews its leases.")
    sweep_interval_seconds: Seconds = Field(15.0, description="How often lost doorbells are looked for.")
    sweep_person_seconds: Seconds = Field(60.0, description="How often at most the sweeper rings for one person.")
    reconcile_interval_seconds: Seconds = Field(
        300.0, description="How often the journal's unsettled rows are looked at."
    )
    unsettled_after_seconds: Seconds = Field(
        60.0, description="A row that is unsettled for longer is put back on the road by the reconciler."
    )
    probe_seconds: Seconds = Field(
        30.0,
        description="While the account or its configuration is wrong, how often one send is risked to see whether it still is.",
    )
    worker_concurrency: int = Field(
        32,
        ge=1,
        le=512,
        description="Conversations that one worker process serves at a time; each is a thread, or a process.",
    )
    worker_pool: Literal["threads", "prefork"] = Field(
        "threads",
        description="How a worker holds its conversations: `threads` in one process, or `prefork`, a process each.",
    )
    who_key: str = Field(
        "",
        description="Key of the hash that hides numbers in Redis and Flower. Empty: derived from the account. Changing it moves every inbox; drain first.",
    )
    log_format: Literal["json", "console"] = Field("json", description="One JSON object a line, or lines for people.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least important level that is logged."
    )
    flower_basic_auth: str = Field(
        "", description="`user:password` for Flower. `dadacat flower` does not start without."
    )
    simulator_data: str = Field("", description="The simulator's database file; empty: in memory.")
    simulator_faults: str = Field(
        "", description="A scenario file that says how the simulator misbehaves from the start."
    )
    simulator_numbers: str = Field(
        "+15005550006", description="Numbers that the simulator owns where `TWILIO_PHONE_NUMBER` names none."
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
        # Celery speaks to no socket in a folder by that address
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
            # the ground floor knows none of our rooms; the library's tables are loaded only where somebody asks
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
            raise ValueError("FOOTER_EVERY wants a FOOTER_LINE")
        if "openai:" in self.cat_engines and not (self.openai_api_key or self.openai_base_url):
            raise ValueError(
                "CAT_ENGINES names an openai: engine, which needs OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own"
            )
        if self.webhook_signing != "tokens" and not self.shared_keys:
            raise ValueError("WEBHOOK_SIGNING names shared keys, and TWILIO_SHARED_KEYS is empty")
        if bool(self.twilio_api_key) != bool(self.twilio_api_secret):
            raise ValueError("TWILIO_API_KEY and TWILIO_API_SECRET belong together")
        return self

    @classmethod
    def load(cls, environment: Mapping[str, str]) -> Settings:
        """Read settings from `environment`. Raises `SettingsError` that names every wrong one, and no value."""
        given = {name: environment[name.upper()] for name in cls.model_fields if name.upper() in environment}
        given = {name: value for name, value in given.items() if value != "" or cls.model_fields[name].default == ""}
        try:
            return cls.model_validate(given)
        except ValidationError as exc:
            raise SettingsError("\n".join(_sentence(error) for error in exc.errors(include_input=False))) from None

    @property
    def numbers(self) -> tuple[str, ...]:
        """Our own numbers."""
        return tuple(filter(None, (number.strip() for number in self.twilio_phone_number.split(","))))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Our own numbers on every channel on which they are reached."""
        channels = ("", "whatsapp:") if self.whatsapp == "on" else ("",)
        return tuple(f"{channel}{number}" for channel in channels for number in self.numbers)

    @property
    def country_codes(self) -> frozenset[str]:
        """Countries whose people are answered; empty: all."""
        return frozenset(filter(None, (code.strip().upper() for code in self.countries.split(","))))

    @property
    def per_number(self) -> bool:
        """Whether one person has a conversation with each of our numbers."""
        return self.conversations == "number"

    @property
    def engine_names(self) -> tuple[str, ...]:
        """The engines, in order."""
        return tuple(filter(None, (name.strip() for name in self.cat_engines.split(","))))

    @property
    def tokens(self) -> tuple[str, ...]:
        """The account's auth tokens, as they stand now: the valid one, and during a rotation another."""
        given = (*self._tokens_in_file(), self.twilio_auth_token, self.twilio_auth_token_secondary)
        return tuple(dict.fromkeys(filter(None, given)))

    @property
    def shared_keys(self) -> tuple[str, ...]:
        """Secrets of Twilio's shared keys."""
        return tuple(filter(None, (key.strip() for key in self.twilio_shared_keys.split(","))))

    @property
    def api_logins(self) -> tuple[tuple[str, str], ...]:
        """User names and passwords for Twilio's API, as they stand now."""
        return self.logins_with(self.tokens)

    def logins_with(self, tokens: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """User names and passwords for Twilio's API: the API key's, or one with each of the tokens."""
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
        """The key of the hash that hides numbers; the same in every process of one installation."""
        return hashlib.blake2b((self.who_key or f"dadacat:{self.twilio_account_sid}").encode()).digest()

    def require_twilio(self) -> None:
        """Raise `SettingsError` unless there is an account to verify and to send with."""
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
    """`given` without any setting of ours, and without AWS's own: for a tree that must touch nothing but itself.

    It has to run in a folder without an `.env` as well, which is read behind the environment.
    """
    ours = {name.upper() for name in Settings.model_fields}
    return {name: value for name, value in given.items() if name not in ours and not name.startswith("AWS_")}


def environment() -> Mapping[str, str]:
    """The process's environment, with `.env` of the current directory behind it."""
    from_file = {name: value for name, value in dotenv_values(Path(".env")).items() if value is not None}
    return {**from_file, **os.environ}
