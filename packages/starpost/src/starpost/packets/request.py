"""What a handler gets."""

from typing import Generic, TypeVar
from uuid import UUID

from msgspec import Struct

from starpost.auth.principal import Principal

T = TypeVar("T")


class RequestModel(Struct, Generic[T]):
    """One packet, its data decoded, and who sent it."""

    pkg_id: int
    req_id: UUID
    data: T
    principal: Principal


class NoData(Struct, frozen=True):
    """The payload of a packet that takes none; members are ignored."""
