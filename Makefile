# Every target does its own set-up; running it again takes seconds.
#   make demo   the page with a microphone, on http://127.0.0.1:8080
#   make test   lint and every test
#   make bench  ours beside aiortc, soxr, PyAV, onnxruntime
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Caches live outside the clone, so that a fresh clone builds in minutes.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/remotemedia
export CARGO_TARGET_DIR ?= $(CACHE)/target
UV_VERSION := 0.13.9
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2
CARGO_LLVM_COV_VERSION := 0.9.1
TOOLS := $(CACHE)/tools
UV := $(TOOLS)/uv-$(UV_VERSION)/bin/uv
CARGO_DENY := $(TOOLS)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
CARGO_FUZZ := $(TOOLS)/cargo-fuzz-$(CARGO_FUZZ_VERSION)/bin/cargo-fuzz
CARGO_LLVM_COV := $(TOOLS)/cargo-llvm-cov-$(CARGO_LLVM_COV_VERSION)/bin/cargo-llvm-cov
FUZZ_SECONDS ?= 30
RUN := $(UV) run --frozen
CARGO := cargo
MANIFEST := --manifest-path runtime/Cargo.toml
PIPELINES ?= configs/pipelines/mic-python.yaml configs/pipelines/mic-vad.yaml \
             configs/pipelines/mic-energy.yaml configs/pipelines/mic-level.yaml
WEB_SOURCES := $(shell find web configs/schema -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# ---- set-up -----------------------------------------------------------------

.PHONY: check-tools
check-tools:
	@bash tests/setup/check-tools.sh

$(UV):
	@python3 -m venv $(TOOLS)/uv-$(UV_VERSION)
	@$(TOOLS)/uv-$(UV_VERSION)/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.PHONY: setup
setup: check-tools $(UV) web/demo/dist/.built ## virtual environment, native module, web client
	@$(UV) sync --frozen --quiet

web/node_modules/.installed: web/package.json web/package-lock.json
	@cd web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

tests/node_modules/.installed: tests/package.json tests/package-lock.json
	@cd tests && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

web/demo/dist/.built: web/node_modules/.installed $(WEB_SOURCES)
	@cd web && npm run --silent build
	@touch $@

.PHONY: setup-test
setup-test: setup $(CARGO_DENY) tests/node_modules/.installed
	@bash tests/setup/system-packages.sh

# Tools of cargo's, each built once: $(1) is the program, $(2) its name, $(3) its version.
define cargo_tool
$(1):
	@echo "building $(2) $(3) (once)"
	@CARGO_TARGET_DIR=$(CACHE)/$(2) $(CARGO) install --quiet --locked --root $(TOOLS)/$(2)-$(3) $(2)@$(3)
	@rm -rf $(CACHE)/$(2)
endef
$(eval $(call cargo_tool,$(CARGO_DENY),cargo-deny,$(CARGO_DENY_VERSION)))
$(eval $(call cargo_tool,$(CARGO_FUZZ),cargo-fuzz,$(CARGO_FUZZ_VERSION)))
$(eval $(call cargo_tool,$(CARGO_LLVM_COV),cargo-llvm-cov,$(CARGO_LLVM_COV_VERSION)))

# ---- use --------------------------------------------------------------------

.PHONY: demo
demo: setup ## the demo page; Ctrl-C ends it
	@exec .venv/bin/remotemedia serve $(PIPELINES)

# ---- checks -----------------------------------------------------------------

.PHONY: test
test: setup-test lint test-rust test-python test-web ## lint and every test

.PHONY: lint
lint: lint-rust lint-python lint-web ## formatters, linters and type checkers

.PHONY: lint-rust
lint-rust: check-tools $(CARGO_DENY)
	@$(CARGO) fmt $(MANIFEST) --all --check
	@$(CARGO) fmt --manifest-path runtime/fuzz/Cargo.toml --check
	@$(CARGO) clippy $(MANIFEST) --workspace --all-targets --locked --quiet -- -D warnings
	@$(CARGO_DENY) --log-level error --manifest-path runtime/Cargo.toml --locked check bans licenses sources
	@bash tests/setup/advisories.sh $(CARGO_DENY)
	@bash tests/setup/wasm.sh

.PHONY: lint-python
lint-python: setup
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) mypy
	@bash tests/setup/pip-audit.sh $(RUN)

.PHONY: lint-web
lint-web: web/node_modules/.installed
	@cd web && npm run --silent lint && npm run --silent typecheck
	@web/node_modules/.bin/eslint --max-warnings 0 --config web/eslint.scripts.config.js 'tests/support/*.mjs'

.PHONY: test-rust
test-rust: check-tools
	@$(CARGO) test $(MANIFEST) --workspace --locked --quiet

.PHONY: test-python
test-python: setup-test
	@$(RUN) pytest
	@echo "the SDK with the native module switched off, then absent"
	@REMOTEMEDIA_USE_RUST=0 $(RUN) python -m pytest -q -r fEs sdk/tests
	@$(RUN) python -m pytest -q -r fEs -p tests.support.without_native sdk/tests

.PHONY: test-web
test-web: web/node_modules/.installed
	@cd web && npm run --silent test

# ---- generated --------------------------------------------------------------

.PHONY: schema
schema: setup ## writes the JSON Schemas and the TypeScript types that are generated
	@$(RUN) python -m remotemedia.manifest.schema configs/schema/manifest.schema.json
	@$(RUN) python -m remotemedia_signaling.schema configs/schema/server.schema.json
	@cd web && npm run --silent generate

# ---- figures ----------------------------------------------------------------

# `sessions` is the table with the plot; the others are modules of tests/bench.
BENCH ?= sessions dsp offline files border lanes beside

.PHONY: bench
bench: setup ## ours beside what it is compared with: sessions and the parts; BENCH="dsp files" for some
	@for part in $(BENCH); do \
	  module=tests.bench.$$part; [ $$part = sessions ] && module=tests.bench; \
	  $(RUN) python -m $$module; \
	done

.PHONY: soak
soak: setup ## connects and leaves for a long time; everything must return to zero
	@$(RUN) python -m tests.soak

.PHONY: coverage
coverage: setup-test $(CARGO_LLVM_COV) ## lines and branches of Python (90 % at least), lines of Rust
	@$(RUN) pytest sdk/tests signaling/tests --cov --cov-report=term:skip-covered
	@rustup component add llvm-tools >/dev/null 2>&1 || true
	@$(CARGO_LLVM_COV) llvm-cov $(MANIFEST) --workspace --locked --summary-only --ignore-filename-regex tests/bench

.PHONY: fuzz
fuzz: check-tools $(CARGO_FUZZ) ## every fuzz target for FUZZ_SECONDS
	@CARGO_FUZZ=$(CARGO_FUZZ) FUZZ_SECONDS=$(FUZZ_SECONDS) bash runtime/fuzz/run.sh

.PHONY: clean
clean: ## removes what was built in the clone (caches outside it stay)
	@rm -rf .venv web/node_modules web/demo/dist tests/node_modules
