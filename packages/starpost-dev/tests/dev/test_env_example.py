"""``.env.example`` of an application with settings of its own."""

from typing import Annotated, Literal

import pytest
from msgspec import Meta

import starpost
from starpost import Secret
from starpost_dev.checks import env_example


class Settings(starpost.Settings, frozen=True, kw_only=True):
    """The framework's, and the application's."""

    db_archive: Annotated[str, Meta(description="where old rows go")] = "archive"
    paper: Annotated[Literal["a4", "letter"], Meta(description="of the printer")] = "a4"
    printer: Annotated[str, Meta(description="its address")]
    printer_password: Annotated[Secret, Meta(description="its password")] = Secret("printer")
    trays: Annotated[tuple[int, ...], Meta(description="comma-separated")] = (1, 2)


def test_own_fields_have_a_section_behind_the_frameworks() -> None:
    framework, _, own = env_example.render(Settings).partition(f"\n# ---- {env_example.OWN} ----\n")
    assert framework == env_example.render(starpost.Settings)
    assert (
        own
        == """
# where old rows go
# DB_ARCHIVE=archive

# of the printer (a4, letter)
# PAPER=a4

# its address (needed)
# PRINTER=

# its password
# PRINTER_PASSWORD=printer

# comma-separated
# TRAYS=1,2
"""
    )


class Undescribed(starpost.Settings, frozen=True, kw_only=True):
    """A field that nobody would understand."""

    number: int = 1


def test_a_field_without_a_description_is_named() -> None:
    with pytest.raises(ValueError, match=r"number: .*description"):
        env_example.render(Undescribed)
