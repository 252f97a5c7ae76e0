"""The real Keycloak as a local process, with the project's realm; the reference for the development realm.

    python -m starpost_dev.keycloak     # prints {"base_url": "http://127.0.0.1:PORT"} when it answers

``rules`` checks a realm, from its file or from a server, for faults that would affect the application.
"""
