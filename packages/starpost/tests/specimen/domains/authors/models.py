"""The table. Its name is not ``author``: another application's models may be in the same process and database."""

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from starpost import BaseModel, refusal, searchable


@searchable("name")
class SpecimenAuthor(BaseModel):
    """Who writes books. Names are unique."""

    __table_args__ = (UniqueConstraint("name", info=refusal("There is an author of this name")),)

    name: Mapped[str] = mapped_column(String(100))
