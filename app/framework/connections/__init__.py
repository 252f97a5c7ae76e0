"""Clients' sockets: the endpoint, one connection, its outbox and limits, and the hub of all of them."""

from app.framework.connections.audiences import Audiences
from app.framework.connections.connection import Connection
from app.framework.connections.endpoint import Endpoint
from app.framework.connections.hub import ConnectionHub
from app.framework.connections.limits import ConnectionLimits

__all__ = ["Audiences", "Connection", "ConnectionHub", "ConnectionLimits", "Endpoint"]
