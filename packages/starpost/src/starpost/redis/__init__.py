"""Redis: the clients of one application, on a single server, behind Sentinel or on a cluster; and its names there."""

from starpost.redis.clients import Address, RedisClients
from starpost.redis.errors import REDIS_AWAY, REDIS_FAULTS, log_fault, translate_redis
from starpost.redis.keys import Keys
from starpost.redis.script import Script

__all__ = ["REDIS_AWAY", "REDIS_FAULTS", "Address", "Keys", "RedisClients", "Script", "log_fault", "translate_redis"]
