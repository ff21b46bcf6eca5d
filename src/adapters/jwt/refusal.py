"""Why a token is refused, as data: for `herald token --check` in full, for callers only as much as they may know."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from domain.safe_text import visible

# At most this many characters of a text, and items of a list, are repeated in an explanation.
_SHOWN_CHARACTERS: Final = 100
_SHOWN_ITEMS: Final = 8


class Reason(msgspec.Struct, frozen=True):
    """Describes one reason for which tokens are refused. In `explanation` and `public`, `{claim}`, `{has}` and
    `{wants}` stand for the fields of a Refusal.

    `explanation` is the sentence for operators. `advice` says what to do. `public` is the text for callers; None where
    they learn only that the token is not valid, because its signature has not been verified.
    """

    explanation: str
    advice: str
    public: str | None = None


# All reasons by their code, in the order of the checks.
REASONS: Final = {
    "too_long": Reason(
        "The token has {has} characters; at most {wants} are accepted.",
        "Remove claims that are not needed, such as long lists of groups, from access tokens.",
    ),
    "not_a_jwt": Reason(
        "This is not a signed JWT: {has}.",
        "Send the access token, unchanged. Some issuers send a token that is not a JWT unless the client asks for an"
        " audience.",
    ),
    "algorithm_refused": Reason(
        "The token is signed by the algorithm {has}; accepted are {wants}.",
        "Check that the configured key is of the kind that the issuer signs with, and HERALD_JWT_ALGORITHMS.",
    ),
    "unknown_key": Reason(
        "The token names the key {has} (`kid`) and the algorithm {claim}; the issuer's keys are {wants}.",
        "Check that HERALD_JWT_JWKS_URL is the URL of this token's issuer. A key that was withdrawn stays unknown: get"
        " a new token.",
    ),
    "wrong_signature": Reason(
        "The signature is not that of the configured key.",
        "Check that the token is signed with the configured key, and was not cut or changed on its way.",
    ),
    "missing_claim": Reason(
        "The token has no `{claim}`; needed is {wants}.",
        "Configure the issuer to add the claim to access tokens, or change the setting that needs it.",
        "The token has no {claim}.",
    ),
    "wrong_audience": Reason(
        "The token's `aud` is {has}; HERALD_JWT_AUDIENCE is {wants}.",
        "Ask the issuer for a token for this audience, or correct HERALD_JWT_AUDIENCE.",
        "The token is for another audience.",
    ),
    "wrong_issuer": Reason(
        "The token's `iss` is {has}; HERALD_JWT_ISSUER is {wants}.",
        "Correct HERALD_JWT_ISSUER: every character counts, also a slash at the end.",
        "The token is from another issuer.",
    ),
    "invalid_user": Reason(
        "The token's `{claim}` is {has}; the user must be {wants}.",
        "Set HERALD_JWT_USER_CLAIM to the claim that contains the user's id.",
        "The token's `{claim}` is not a valid user id.",
    ),
    "invalid_scopes": Reason(
        "The token's `{claim}` is {has}; scopes must be {wants}.",
        "Correct the claim at the issuer, or HERALD_JWT_SCOPE_CLAIMS.",
        "The token's {claim} is neither text nor a list of texts.",
    ),
    "invalid_time": Reason(
        "The token's `{claim}` is {has}; a time must be {wants}.",
        "Correct the program that makes the tokens: times are in seconds, not in milliseconds.",
        "The token's {claim} is not a time in seconds.",
    ),
    "not_valid_yet": Reason(
        "The token is valid only from {has} (`{claim}`); now it is {wants}.",
        "Synchronise the clocks of the issuer and of this machine.",
        "The token is not valid yet.",
    ),
    "expired": Reason(
        "The token expired at {has}; now it is {wants}.",
        "Get a new token.",
    ),
}


class Refusal(msgspec.Struct, frozen=True):
    """Says why a token is refused. `code` is a key of REASONS; `claim` names the claim, `has` is what the token has,
    and `wants` what the settings require. All are one line without control characters, and none is a whole token."""

    code: str
    claim: str = ""
    has: str = ""
    wants: str = ""

    @property
    def explanation(self) -> str:
        return self._filled(REASONS[self.code].explanation)

    @property
    def advice(self) -> str:
        return REASONS[self.code].advice

    @property
    def public(self) -> str | None:
        public = REASONS[self.code].public
        return None if public is None else self._filled(public)

    def _filled(self, text: str) -> str:
        return text.format(claim=self.claim, has=self.has, wants=self.wants)


class TokenRefused(Exception):
    """Raised where a check of a token fails. Stays within this folder: JwtVerifier converts it."""

    def __init__(self, code: str, claim: str = "", has: str = "", wants: str = "") -> None:
        super().__init__(code)
        self.refusal = Refusal(code, claim, has, wants)


def shown(value: Any) -> str:
    """Returns a value of a token for display in a sentence: text in quotes, other values of JSON by their kind. The
    result is short, and one line without control characters."""
    if isinstance(value, list):
        items = [shown(item) if isinstance(item, str) else _kind(item) for item in value[:_SHOWN_ITEMS]]
        return f"[{', '.join(items)}{', …' if len(value) > _SHOWN_ITEMS else ''}]"
    if isinstance(value, str):
        return f'"{visible(value[:_SHOWN_CHARACTERS])}{"…" if len(value) > _SHOWN_CHARACTERS else ""}"'
    return _kind(value)


def shown_time(seconds: float) -> str:
    """Returns a time of a token for display, in UTC: `2027-01-15 08:00:00 UTC`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def listed(items: list[str]) -> str:
    """Returns the items as one text for display, separated by commas, without those beyond the first 8."""
    return ", ".join([*items[:_SHOWN_ITEMS], *(["…"] if len(items) > _SHOWN_ITEMS else [])])


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        # Python converts no integer of more than 4,300 digits to text.
        return str(value) if abs(value) < 1e18 else "a number that is too large"
    return "a list" if isinstance(value, list) else "text" if isinstance(value, str) else "an object"
