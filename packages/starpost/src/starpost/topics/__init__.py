"""Server push: topics, their history in Redis, the fan-out between workers, presence."""

from starpost.topics.broker import Broker, Publisher
from starpost.topics.topic import Push, Topic, Topics

__all__ = ["Broker", "Publisher", "Push", "Topic", "Topics"]
