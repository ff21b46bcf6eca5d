"""Tokens: which expiry a token has after the provider was called again."""

from herald_client.tokens import Token, Tokens, TokenValue


async def test_the_expiry_from_the_service_is_kept_if_the_provider_returns_the_token_again() -> None:
    given: list[TokenValue] = ["t1", "t1", "t2", Token("t2", 5.0)]
    tokens = Tokens(lambda: given.pop(0))
    assert await tokens.renew() == Token("t1")
    tokens.set_expiry(4e9)
    assert await tokens.renew() == Token("t1", 4e9)
    assert await tokens.renew() == Token("t2")
    assert await tokens.renew() == Token("t2", 5.0)
