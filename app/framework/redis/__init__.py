"""Redis: the clients of one application, on a single server, behind Sentinel or on a cluster; and its names there."""

from app.framework.redis.clients import Address, RedisClients
from app.framework.redis.errors import REDIS_AWAY, REDIS_FAULTS, translate_redis
from app.framework.redis.keys import Keys
from app.framework.redis.script import Script

__all__ = ["REDIS_AWAY", "REDIS_FAULTS", "Address", "Keys", "RedisClients", "Script", "translate_redis"]
