"""The real Keycloak as a local process, with the project's realm: what the development realm is measured by."""
