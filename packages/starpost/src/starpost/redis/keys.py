"""Names in Redis.

Several applications share one Redis by ``REDIS_PREFIX``. On a cluster, keys that one script touches must live in one
slot: what stands in braces decides the slot (the hash tag of the Redis Cluster specification).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of one application."""

    prefix: str
    connection_prefix: str

    def topic(self, name: str, part: str) -> str:
        """A key of one topic; all parts share a slot."""
        return f"{self.topic_channel(name)}:{part}"

    def topic_channel(self, name: str) -> str:
        """The channel of one topic, and the tag of its keys."""
        return f"{{{self.prefix}:topic:{_bare(name)}}}"

    def audience_channel(self, kind: str, name: str) -> str:
        """The channel of everybody (kind ``all``), of a user or of a role."""
        return f"{{{self.prefix}:{kind}:{_bare(name)}}}"

    def control_channel(self) -> str:
        """What every worker listens to."""
        return f"{{{self.prefix}:control}}"

    def user_connections(self, user_id: str, part: str) -> str:
        """A key of one user's connections; all parts share a slot."""
        return f"{self.connection_prefix}{{{self.prefix}:{_bare(user_id)}}}:{part}"

    def user_connections_pattern(self, part: str) -> str:
        """Matches ``user_connections`` of all users, for ``SCAN``."""
        return f"{_escaped(self.connection_prefix)}{{{_escaped(self.prefix)}:*}}:{part}"

    def revocations(self, part: str) -> str:
        """A key of the revocations; all parts share a slot."""
        return f"{{{self.prefix}:revoked}}:{part}"

    def rate_of_user(self, user_id: str) -> str:
        """The bucket of one user on all workers."""
        return f"{{{self.prefix}:rate:{_bare(user_id)}}}"

    def rate_workers(self) -> str:
        """The workers among which the budgets are shared."""
        return f"{{{self.prefix}:rate-workers}}"

    def lease(self, name: str) -> str:
        """The lease of a task that runs once per cluster."""
        return f"{{{self.prefix}:lease:{_bare(name)}}}"


def _bare(name: str) -> str:
    """A name without braces, which would move the hash tag: escaped so that no two names become one."""
    return name.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")


def _escaped(name: str) -> str:
    """A name without glob characters."""
    return "".join(f"\\{character}" if character in "*?[]\\" else character for character in name)
