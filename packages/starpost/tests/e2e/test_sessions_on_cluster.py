"""The tests of sessions, limits and revocation once more, on a cluster."""

from tests.e2e.on_cluster import cluster, serve
from tests.e2e.test_sessions import (
    limited,
    nodes,
    test_a_logout_token_counts_once_on_all_nodes,
    test_a_second_tab_neither_replaces_nor_unregisters_the_first,
    test_a_user_is_put_out_and_kept_out,
    test_entries_of_a_killed_worker_disappear,
    test_one_connection_is_closed_wherever_it_is,
    test_the_limit_holds_across_workers_and_nodes,
    test_the_list_has_pages,
    test_who_is_connected_where,
    valkey,
)

__all__ = [
    "cluster",
    "limited",
    "nodes",
    "serve",
    "test_a_logout_token_counts_once_on_all_nodes",
    "test_a_second_tab_neither_replaces_nor_unregisters_the_first",
    "test_a_user_is_put_out_and_kept_out",
    "test_entries_of_a_killed_worker_disappear",
    "test_one_connection_is_closed_wherever_it_is",
    "test_the_limit_holds_across_workers_and_nodes",
    "test_the_list_has_pages",
    "test_who_is_connected_where",
    "valkey",
]
