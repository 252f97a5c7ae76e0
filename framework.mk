# Commands of this repository that a generated project has not: they are about the framework, not about an application.

# ---- measure ----------------------------------------------------------------------------------------------------------

# PIN= leaves the cores to the kernel. SECONDS only by the command line: in the environment it is bash's own.
PIN ?= 1
.PHONY: bench
bench: $(VENV)/.stamp ## Measure against the yardsticks (CASES=trivial,page ROUNDS=5 SECONDS=2 PIN=1 JSON=file SVG=file)
	@$(PY) -m bench $(if $(CASES),--cases $(CASES)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(filter command,$(origin SECONDS)),--seconds $(SECONDS)) \
		$(if $(filter 1,$(PIN)),--pin) $(if $(JSON),--json $(JSON)) $(if $(SVG),--svg $(SVG))

.PHONY: profile
profile: $(VENV)/.stamp ## Show where a packet's time goes
	@exec $(PY) -m bench.profile

.PHONY: wheels
wheels: | $(UV) ## Build the wheels of starpost and starpost-dev (OUT=dist)
	@$(UV) build --quiet --all-packages --wheel --out-dir $(or $(OUT),dist)

.PHONY: architecture
architecture: $(VENV)/.stamp ## Draw docs/architecture.svg from the imports
	@$(PY) -m starpost_dev.checks.architecture

.PHONY: lock-template
lock-template: | $(UV) ## Lock the environments of the exporter and its tests again, after `make lock`
	@printf '%s\n' ruff tomlkit 'uv-build>=0.13,<0.14' | $(UV) pip compile - --universal --generate-hashes --no-header --no-annotate --quiet \
		-c requirements/dev.lock -o template/requirements.lock
	printf '%s\n' 'cookiecutter>=2.7.1' copier | $(UV) pip compile - --universal --generate-hashes --no-header --no-annotate --quiet \
		-o template/tests/requirements.lock

# The server is fetched beforehand, so that no test waits for it; status 3 means that it cannot run here.
.PHONY: test-keycloak
test-keycloak: $(VENV)/.stamp ## Hold the development realm to the real Keycloak, and the application to both (PYTEST="-m real_keycloak")
	@$(PY) -m starpost_dev.keycloak --fetch-only || { status=$$?; [ $$status -eq 3 ] && echo "test-keycloak: skipped" >&2; exit $$status; }
	STARPOST_TEST_KEYCLOAK=1 $(PY) -m pytest packages/starpost-dev/tests/keycloak packages/starpost/tests/e2e/keycloak \
		packages/starpost-dev/tests/dev/test_serve_keycloak.py::test_a_real_keycloak_serves_a_checkout $(PYTEST)
