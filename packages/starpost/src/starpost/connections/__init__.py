"""Clients' sockets: the endpoint, one connection, its outbox and limits, and the hub of all of them."""

from starpost.connections.audiences import Audiences
from starpost.connections.connection import Connection
from starpost.connections.endpoint import Endpoint
from starpost.connections.hub import ConnectionHub
from starpost.connections.limits import ConnectionLimits

__all__ = ["Audiences", "Connection", "ConnectionHub", "ConnectionLimits", "Endpoint"]
