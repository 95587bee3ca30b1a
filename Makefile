# The lines that people and CI run. Everything here works with Rust, a C compiler and Debian's packages alone.
#
# Tests are built in the profile `ci` (Cargo.toml): optimised, with debug assertions and overflow checks. Unoptimised
# hashing and copying would dominate every downtime that a test measures, and a plain release build would not check its
# arithmetic. One profile for everything keeps it at one build.

CARGO ?= cargo
SHELL := /bin/bash

# One test at a time: a test that measures a guest's downtime must not share its processors with another guest.
export RUST_TEST_THREADS ?= 1

# `make demo ARGS="--downtime-limit 20ms"`
ARGS ?=

.PHONY: all demo sim explore test test-all bench lint docs clean

all:
	$(CARGO) build --locked --release

demo:
	$(CARGO) run --locked --release -q -p switchover-shell --bin switchover -- demo $(ARGS)

# `make sim ARGS="campaign standard --max-p99 290ms"`
sim:
	@$(CARGO) run --locked --release -q -p switchover-sim --bin switchover-sim -- $(ARGS)

# Every interleaving of every small world, the larger ones as well: minutes, and some GiB. `ARGS="crash-a"` for one.
explore:
	@$(CARGO) build --locked --release -q -p switchover-sim
	@set -e; for world in $(if $(ARGS),$(ARGS),$$(target/release/switchover-sim explore | cut -d' ' -f1)); do \
		target/release/switchover-sim explore $$world; echo; done

# A seeded sample of the long campaigns; the seed is printed. SWITCHOVER_SEED=... replays one.
test:
	tests/run

# The same tests with every case of every campaign.
test-all:
	SWITCHOVER_ALL=1 tests/run

# `make bench ARGS="--json"`; `ARGS="--quick slope"` for fewer runs of one part.
bench:
	@$(CARGO) build --locked --release -q -p switchover-shell -p switchover-benches -p switchover-steps --bins
	@$(CARGO) run --locked --release -q -p switchover-benches --bin bench -- $(ARGS)

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked -p switchover-core --features defmt -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps

docs:
	$(CARGO) doc --locked --workspace --no-deps

clean:
	$(CARGO) clean
