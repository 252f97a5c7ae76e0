"""Names of keys and channels in Redis.

Applications that share one Redis have different values of ``REDIS_PREFIX``. On a cluster, all keys of one script must
be in one slot, which the text in braces determines (the hash tag of the Redis Cluster specification).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of one application."""

    prefix: str
    connection_prefix: str

    def topic(self, name: str, part: str) -> str:
        """Return a key of a topic; all parts share a slot."""
        return f"{self.topic_channel(name)}:{part}"

    def topic_channel(self, name: str) -> str:
        """Return the channel of a topic, which is also the hash tag of its keys."""
        return f"{{{self.prefix}:topic:{_bare(name)}}}"

    def audience_channel(self, kind: str, name: str) -> str:
        """Return the channel of everybody (kind ``all``), of a user or of a role."""
        return f"{{{self.prefix}:{kind}:{_bare(name)}}}"

    def control_channel(self) -> str:
        """Return the control channel, which every worker subscribes to."""
        return f"{{{self.prefix}:control}}"

    def user_connections(self, user_id: str, part: str) -> str:
        """Return a key of a user's connections; all parts share a slot."""
        return f"{self.connection_prefix}{{{self.prefix}:{_bare(user_id)}}}:{part}"

    def user_connections_pattern(self, part: str) -> str:
        """Return the pattern for ``SCAN`` that matches ``user_connections`` of all users."""
        return f"{_escaped(self.connection_prefix)}{{{_escaped(self.prefix)}:*}}:{part}"

    def revocations(self, part: str) -> str:
        """Return a key of the revocations; all parts share a slot."""
        return f"{{{self.prefix}:revoked}}:{part}"

    def rate_of_user(self, user_id: str) -> str:
        """Return the key of a user's bucket for all workers."""
        return f"{{{self.prefix}:rate:{_bare(user_id)}}}"

    def rate_workers(self) -> str:
        """Return the key of the set of workers that share the budgets."""
        return f"{{{self.prefix}:rate-workers}}"

    def lease(self, name: str) -> str:
        """Return the key of the lease of a task that runs once per cluster."""
        return f"{{{self.prefix}:lease:{_bare(name)}}}"


def _bare(name: str) -> str:
    """Escape braces, which would move the hash tag. Different names stay different."""
    return name.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")


def _escaped(name: str) -> str:
    """Escape the characters of glob patterns."""
    return "".join(f"\\{character}" if character in "*?[]\\" else character for character in name)
