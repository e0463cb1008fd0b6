.DEFAULT_GOAL := help
.PHONY: help run build test check audit fmt autobahn openapi proxies clients fuzz bench-store bench-years bench-idle bench-delivery bench-floods clean

# Seconds for each fuzz target of `make fuzz`.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS := $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))

help: ## Say what each command does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build target/quick/relaybox and run it: data in ./data, certificates in ./certs, wss://localhost:8443
	cargo run --profile quick -- serve

build: ## Build target/release/relaybox, which is faster and takes longer to build
	cargo build --release --locked

# The tests start thousands of processes; in each, aws-lc would spend some 70 ms on a second source of entropy.
# Releases have it.
test check openapi autobahn: export AWS_LC_SYS_NO_JITTER_ENTROPY = 1

test: ## Run all tests (with cargo-nextest where it is installed)
	@if cargo nextest --version >/dev/null 2>&1; then \
		cargo nextest run --locked --profile all --test-threads $$((4 * $$(nproc))); \
	else cargo test --locked; fi

check: ## Formatting, lints, documentation, dependencies
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo check --locked --manifest-path fuzz/Cargo.toml --target-dir target
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
	@cargo deny --version >/dev/null 2>&1 || { echo "make check needs cargo-deny: cargo install cargo-deny --locked" >&2; exit 1; }
	@# Those of other platforms too: they are looked at without a network.
	cargo fetch --locked --quiet
	cargo deny --offline check bans licenses sources

audit: ## Known vulnerabilities of the dependencies (fetches the advisory database)
	cargo deny check advisories

fmt: ## Format the code
	cargo fmt

autobahn: ## Run the Autobahn WebSocket conformance cases against the connection code
	tests/autobahn/run

openapi: ## Hold a running server against its openapi.json (schemathesis)
	tests/openapi/run

proxies: ## Install the reverse proxies that tests/external/proxies runs (as root)
	tests/external/proxies/install

clients: ## Install the client libraries and interpreters that tests/external/clients runs (as root)
	tests/external/clients/install

fuzz: ## Run each fuzz target for FUZZ_SECONDS (needs cargo-fuzz)
	for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target fuzz/seeds/$$target; \
		RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target \
			-- -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

bench-store: ## Measure the store: commits against the floor of its disk, and 2 million messages
	cargo bench --locked --bench store

bench-years: ## The same with 10 million messages
	RELAYBOX_BENCH_MESSAGES=10000000 cargo bench --locked --bench store

bench-idle: ## Measure the memory of 5,000 idle TLS sessions
	cargo bench --locked --bench sessions

bench-delivery: ## Measure what receipts cost
	cargo bench --locked --bench delivery

bench-floods: ## Measure what a quiet pair feels of each flood (some 9 minutes)
	cargo bench --locked --bench floods

clean: ## Remove what was built
	cargo clean
