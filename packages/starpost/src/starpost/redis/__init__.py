"""Redis: the clients, keys and scripts of one application, on a single server, behind Sentinel or on a cluster.

Every key and channel has a name in ``Keys``. Keys that one script uses share a hash tag, so that a cluster has them in
one slot:

    >>> from starpost.redis import Keys
    >>> keys = Keys(prefix="shop", connection_prefix="session:")
    >>> keys.topic("orders", "events")
    '{shop:topic:orders}:events'

Scripts run on each of the three kinds of Redis::

    from starpost.redis import REDIS_AWAY, RedisClients

    clients = RedisClients(settings)
    count = clients.script("return redis.call('INCR', KEYS[1])", database="main")
    try:
        await count(keys=[clients.keys.topic("orders", "seq")], args=[])
    except REDIS_AWAY:
        ...     # a later try may succeed
"""

from starpost.redis.clients import Address, RedisClients
from starpost.redis.errors import REDIS_AWAY, REDIS_FAULTS, log_fault, translate_redis
from starpost.redis.keys import Keys
from starpost.redis.script import Script

__all__ = ["REDIS_AWAY", "REDIS_FAULTS", "Address", "Keys", "RedisClients", "Script", "log_fault", "translate_redis"]
