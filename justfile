# The one door. `just` lists what there is.

[private]
default:
    @just --list --unsorted

# The server on 127.0.0.1:7070 with its data in ./mainstay-data
run *ARGS:
    cargo run --release -- serve {{ ARGS }}

# The server with a simulated retail service
demo:
    cargo run --release -- serve --demo

# Every test; arguments go to cargo test
test *ARGS:
    cargo test {{ ARGS }}

# The same tests with nextest, one process each; doc tests are not among them
nextest *ARGS:
    cargo nextest run {{ ARGS }}

# Format and lints, as CI wants them
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    cargo fmt --manifest-path examples/services/Cargo.toml --check
    CARGO_TARGET_DIR=target cargo clippy --manifest-path examples/services/Cargo.toml -- -D warnings

# What callers of a gate may do at the same time, over the interleavings that loom finds
models:
    RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 CARGO_TARGET_DIR=target/loom cargo test -p mainstay-actors --no-default-features --release --lib models

# The examples of services; the last two only where DATABASE_URL and REDIS_URL name a server
services:
    cargo run --manifest-path examples/services/Cargo.toml --bin client
    cargo run --manifest-path examples/services/Cargo.toml --bin server
    [ -z "${DATABASE_URL:-}" ] || cargo run --manifest-path examples/services/Cargo.toml --bin database
    [ -z "${REDIS_URL:-}" ] || cargo run --manifest-path examples/services/Cargo.toml --bin tier

# The core compiles without actix, tokio and the journal; the library without the server
pure:
    cargo check -p mainstay-actors --no-default-features
    cargo check --no-default-features --lib --examples

# The API's documentation, warnings are errors
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps

# Licences, banned crates, sources, advisories
deny:
    cargo deny --all-features check
    cargo deny --config deny.toml --manifest-path examples/services/Cargo.toml check

# The benchmarks; benches/README.md says how to read them
bench *ARGS:
    cargo bench {{ ARGS }}

# P2 with etcd, Redis and PostgreSQL beside ours, started and stopped by it
bench-peers *ARGS:
    bash benches/peers.sh {{ ARGS }}

# Counted instructions of decide, append and fold beside the committed ones; --bless commits to new ones
instructions *ARGS:
    cargo bench -p mainstay-actors --no-default-features --bench instructions --profile counts -- {{ ARGS }}

# Hosts over a simulated disk: so many seeds; one alone: MAINSTAY_SEED=17 just simulate
simulate N="2000":
    MAINSTAY_SEEDS={{ N }} cargo test --test simulation seeds -- --nocapture

# What this tree writes, opened by an older commit: whether, and how long from the decision to ready
rollback REF:
    bash .ci/rollback {{ REF }}

# The long fault campaign; leaves target/campaign/report.md
campaign:
    bash .ci/campaign

# All that CI does
verify:
    bash .ci/run
