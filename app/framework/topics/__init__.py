"""Server push: topics, their history in Redis, the fan-out between workers, presence."""

from app.framework.topics.broker import Broker, Publisher
from app.framework.topics.topic import Push, Topic, Topics

__all__ = ["Broker", "Publisher", "Push", "Topic", "Topics"]
