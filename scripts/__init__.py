"""Commands of the project: development services, realm, code generation, checks."""
