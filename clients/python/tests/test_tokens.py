"""The client: tokens, and what is known of their end."""

from herald_client.tokens import Given, Token, Tokens


async def test_what_the_service_said_of_a_token_outlasts_a_provider_that_gives_it_again() -> None:
    given: list[Given] = ["t1", "t1", "t2", Token("t2", 5.0)]
    tokens = Tokens(lambda: given.pop(0))
    assert await tokens.renew() == Token("t1")
    tokens.learn(4e9)
    assert await tokens.renew() == Token("t1", 4e9)
    assert await tokens.renew() == Token("t2")
    assert await tokens.renew() == Token("t2", 5.0)
