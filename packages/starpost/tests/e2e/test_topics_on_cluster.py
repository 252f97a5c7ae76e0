"""The topics' tests once more, on a cluster; how shards are lost there: ``test_redis_modes``."""

from tests.e2e.on_cluster import cluster, serve
from tests.e2e.test_topics import (
    clients,
    nodes,
    test_a_client_recovers_from_any_worker,
    test_a_renamed_user_is_the_same_one,
    test_a_token_without_the_role_ends_the_subscription,
    test_every_worker_and_node_gets_every_event_in_order,
    test_json_and_messagepack_have_the_same_shapes,
    test_presence,
    test_presence_after_a_worker_was_killed,
    test_recovery_without_a_gap_while_events_flow,
    test_subscribing_again_leaves_one_subscription,
    test_unsubscribed_is_quiet,
    test_what_history_does_not_reach,
    test_what_is_refused,
)

__all__ = [
    "clients",
    "cluster",
    "nodes",
    "serve",
    "test_a_client_recovers_from_any_worker",
    "test_a_renamed_user_is_the_same_one",
    "test_a_token_without_the_role_ends_the_subscription",
    "test_every_worker_and_node_gets_every_event_in_order",
    "test_json_and_messagepack_have_the_same_shapes",
    "test_presence",
    "test_presence_after_a_worker_was_killed",
    "test_recovery_without_a_gap_while_events_flow",
    "test_subscribing_again_leaves_one_subscription",
    "test_unsubscribed_is_quiet",
    "test_what_history_does_not_reach",
    "test_what_is_refused",
]
