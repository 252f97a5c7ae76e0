"""Clients' sockets: the endpoint, one connection, and the hub of all of them.

A frame on its way through a connection:

- ``endpoint`` checks the handshake, and admits the client;
- ``connection`` knows who the client is, reads its frames, and closes;
- ``intake`` makes packets of a frame, within the limits;
- ``execution`` runs them one after the other, ``parallel`` several at once; ``attendant`` reads on meanwhile;
- ``outbox`` takes the replies, and what others push.

The ``hub`` finds a worker's connections by user and session; its ``pulse`` looks after all of them; ``ending`` says of
one why and when it ends. ``sessions`` stands above: it is told who comes and goes by the protocol in ``registry``.
"""

from starpost.connections.audiences import Audiences
from starpost.connections.connection import Connection
from starpost.connections.endpoint import Endpoint
from starpost.connections.hub import ConnectionHub
from starpost.connections.limits import ConnectionLimits

__all__ = ["Audiences", "Connection", "ConnectionHub", "ConnectionLimits", "Endpoint"]
