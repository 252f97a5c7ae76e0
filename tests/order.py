"""Which files are begun first, lest the run's end wait for one worker that took a long one last."""

LONGEST_FIRST = (
    "scripts/test_new_ws_handler.py",
    "framework/server/test_launcher.py",
    "framework/console/test_console.py",
    "e2e/test_sessions.py",
    "e2e/test_redis_modes.py",
    "framework/connections/test_connection.py",
    "framework/limits/test_shared.py",
    "framework/limits/test_attacks.py",
    "scripts/test_realm_process.py",
    "e2e/keycloak/test_rotation_and_outage.py",
    "e2e/test_sessions_on_cluster.py",
    "e2e/test_rolling_restart.py",
    "e2e/test_topics.py",
    "e2e/test_topics_on_cluster.py",
    "e2e/test_topic_access.py",
    "e2e/test_push_on_cluster.py",
    "e2e/test_push.py",
    "scripts/test_devservices.py",
    "scripts/test_devservices_accounts.py",
    "scripts/test_serve.py",
    "scripts/test_serve_keycloak.py",
    "framework/connections/test_endpoint.py",
    "framework/db/test_migrate.py",
    "bench/test_main.py",
    "scripts/test_check_actions.py",
    "framework/tasks/test_application.py",
    "scripts/test_devservices_ephemeral.py",
    "e2e/keycloak/test_sign_in.py",
    "e2e/keycloak/test_refused_tokens.py",
    "framework/topics/test_cluster.py",
    "framework/connections/test_parallel.py",
    "framework/connections/test_sessions.py",
    "domains/authors/test_routes.py",
    "contract/test_permissions_served.py",
    "framework/protocol/test_codecs.py",
    "framework/contract/test_client_example.py",
    "bench/test_server.py",
    "framework/tasks/test_lease.py",
)
"""By measurement (``--durations=0``), from some ten seconds down; the order of the others hardly matters."""

_PLACES = {f"tests/{name}": place for place, name in enumerate(LONGEST_FIRST)}


def place_of(nodeid: str) -> int:
    """Where a test's file comes; those that are not named come after all that are."""
    return _PLACES.get(nodeid.partition("::")[0], len(_PLACES))
