import pytest
from hypothesis import given
from hypothesis import strategies as st

from starpost.auth.redaction import redact_query


@pytest.mark.parametrize(
    ("query", "redacted"),
    [
        ("", ""),
        ("page=1&per_page=20", "page=1&per_page=20"),
        ("Authorization=Bearer%20eyJ.a.b", "Authorization=***"),
        ("authorization=Bearer+eyJ.a.b&page=1", "authorization=***&page=1"),
        ("page=1&access_token=x", "page=1&access_token=***"),
        ("page=1;token=x;y=2", "page=1;token=***"),
        ("code=abc&state=def&session_state=ghi&iss=j", "code=***&state=***&session_state=***&iss=j"),
        ("/web?Authorization=Bearer%20eyJ.a.b", "/web?Authorization=***"),
        ("mytoken=1", "mytoken=1"),
        ("Authorization=", "Authorization=***"),
        ("Authorization=a&Authorization=b", "Authorization=***&Authorization=***"),
        ("%41uthorization=Bearer%20eyJ.a.b", "***"),
        ("/web?%41uthorization=Bearer%20eyJ.a.b", "/web?***"),
        ("name=100%25&x=1", "name=100%25&x=1"),
    ],
)
def test_values_that_are_credentials_are_masked(query: str, redacted: str) -> None:
    assert redact_query(query) == redacted


def test_a_long_query_is_gone_through_once() -> None:
    # The square of so many characters would be hours.
    assert redact_query("%" * 4_000_000) == "%" * 4_000_000
    assert redact_query(f"{'%' * 4_000_000}=S3CRET") == "***"


@given(
    before=st.text(alphabet="abc=&;%+", max_size=20),
    name=st.sampled_from(["Authorization", "authorization", "AUTHORIZATION", "token", "access_token"]),
    after=st.text(alphabet="abc=&;%+", max_size=20),
)
def test_a_token_never_survives(before: str, name: str, after: str) -> None:
    assert "S3CRET" not in redact_query(f"{before}&{name}=S3CRET{after}")
