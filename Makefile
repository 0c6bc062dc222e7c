# Everything compiled lies outside of the checkout and is shared by all checkouts of this user.
# Needs: Rust (with rustfmt and clippy), make, bash, a C compiler.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tidewatch
export CARGO_TARGET_DIR ?= $(CACHE)/target

CHECKS := check-format check-lints check-dependencies check-docs
.PHONY: help demo test test-corpus check $(CHECKS) docs fmt steps

help: ## Say what there is to make.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Scan the images of a registry on this machine and ask for the metrics. KEEP=1 leaves it running.
	cargo build --workspace --locked
	"$(CARGO_TARGET_DIR)/debug/demo"

# The end-to-end tests mostly wait, so more of them run at once than there are cores.
test: ## Run every test.
	RUST_TEST_THREADS=8 cargo test --workspace --locked

test-corpus: ## Run the test with real images; builds them first (needs root, Debian, and the shared folder).
	../shared/tools/build-corpus '$(CACHE)/corpus' bookworm-slim bullseye-slim
	TIDEWATCH_CORPUS='$(CACHE)/corpus/images' cargo test --workspace --locked --test end_to_end corpus -- --nocapture

check: $(CHECKS) ## Run every check that is not a test.

docs: ## Write docs/CONFIGURATION.md anew, from the types of the configuration.
	cargo run --package tidewatch-tests --locked --quiet --bin configuration-docs

check-format: ## Check that the code is formatted.
	cargo fmt --all --check

check-lints: ## Check the code with clippy.
	cargo clippy --workspace --all-targets --locked -- -D warnings

check-dependencies: ## Check licences, sources and who uses what (deny.toml).
	tool=$$(.ci/cargo-deny '$(CACHE)/tools') && "$$tool" --locked check --hide-inclusion-graph licenses bans sources

check-docs: ## Check that the documentation builds and that its links lead somewhere.
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

fmt: ## Format the code.
	cargo fmt --all

# What continuous integration runs, in this order.
steps:
	@echo $(CHECKS) test
