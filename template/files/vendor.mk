# ---- what was generated, and the framework -----------------------------------------------------------------------------

$(TOOLS)/copier/.stamp: requirements/copier.txt | $(UV)
	@$(UV) venv --quiet --clear --python $(PYTHON) $(TOOLS)/copier >&2
	$(UV) pip sync --quiet --python $(TOOLS)/copier/bin/python --require-hashes requirements/copier.txt >&2
	touch $@

# The second make reads the new Makefile.
.PHONY: update
update: $(TOOLS)/copier/.stamp ## Take what is new in the template and the framework; your changes stay (VERSION=v1.2.0)
	@$(TOOLS)/copier/bin/python -m scripts.update $(VERSION)
	$(MAKE) --no-print-directory check test

.PHONY: vendor-source
vendor-source: ## Unpack the framework's source into packages/, to own it; nothing comes from vendor/ any more
	@$(PYTHON) -m scripts.vendor_source
	$(MAKE) --no-print-directory lock install
