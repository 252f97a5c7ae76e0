"""Request of a packet, as its handler gets it."""

from typing import Generic, TypeVar
from uuid import UUID

from msgspec import Struct

from starpost.auth.principal import Principal

T = TypeVar("T")


class RequestModel(Struct, Generic[T]):
    """Request of a packet, with decoded data and the principal of the sender."""

    pkg_id: int
    req_id: UUID
    data: T
    principal: Principal


class NoData(Struct, frozen=True):
    """Payload of a packet that needs none; members are ignored."""
