from starpost.auth.challenge import MissingTokenError, www_authenticate
from starpost.errors import TokenExpiredError, UnauthenticatedError


def test_without_a_token_only_the_scheme_is_named() -> None:
    assert www_authenticate(MissingTokenError()) == "Bearer"


def test_a_bad_token_is_named_so() -> None:
    assert (
        www_authenticate(TokenExpiredError())
        == 'Bearer error="invalid_token", error_description="The access token has expired"'
    )


def test_a_message_cannot_break_the_header() -> None:
    value = www_authenticate(UnauthenticatedError('a"b\\c\r\nSet-Cookie: x=é'))

    assert value == 'Bearer error="invalid_token", error_description="abcSet-Cookie: x="'
