#!/usr/bin/env bash
# Other servers, durable and on loopback, beside ours in one run: `just bench-peers`.
#
# Needs the Debian packages etcd-server, etcd-client, redis-server, redis-tools and postgresql. Starts its
# own, on ports of its own, with their data below target/; stops what it has started. Flags go to the bench.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ETCD=27379 ETCD_PEER=27380 REDIS=26379 POSTGRES=25432
seconds=5
postgres_bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | tail -n 1)

missing=()
for tool in etcd etcdctl redis-server redis-benchmark pgbench "$postgres_bin/initdb"; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
if ((${#missing[@]} > 0)); then
    echo "missing: ${missing[*]}" >&2
    echo "run: apt-get install etcd-server etcd-client redis-server redis-tools postgresql" >&2
    exit 1
fi

mkdir -p target
scratch=$(mktemp -d -p target peers.XXXXXX)
scratch=$(realpath "$scratch")
started=()
on_exit() {
    if [[ -e $scratch/postgres/data/postmaster.pid ]]; then
        unprivileged "$postgres_bin/pg_ctl" -D "$scratch/postgres/data" -m fast stop >/dev/null || true
    fi
    for process in "${started[@]}"; do
        kill "$process" 2>/dev/null && wait "$process" 2>/dev/null || true
    done
    rm -rf "$scratch"
}
trap on_exit EXIT

# PostgreSQL refuses to run as root.
unprivileged() {
    if ((EUID == 0)); then runuser -u postgres -- "$@"; else "$@"; fi
}

# Waits until a port of this machine answers.
answers() {
    for _ in {1..300}; do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
        sleep 0.1
    done
    echo "nothing answers on port $1: see $scratch" >&2
    exit 1
}

etcd --name bench --data-dir "$scratch/etcd" --log-level error \
    --listen-client-urls "http://127.0.0.1:$ETCD" --advertise-client-urls "http://127.0.0.1:$ETCD" \
    --listen-peer-urls "http://127.0.0.1:$ETCD_PEER" --initial-advertise-peer-urls "http://127.0.0.1:$ETCD_PEER" \
    --initial-cluster "bench=http://127.0.0.1:$ETCD_PEER" >"$scratch/etcd.log" 2>&1 &
started+=($!)
mkdir "$scratch/redis"
redis-server --port "$REDIS" --bind 127.0.0.1 --dir "$scratch/redis" --save "" \
    --appendonly yes --appendfsync always >"$scratch/redis.log" 2>&1 &
started+=($!)
mkdir "$scratch/postgres"
if ((EUID == 0)); then chown postgres "$scratch/postgres"; chmod a+rx "$scratch"; fi
unprivileged "$postgres_bin/initdb" -D "$scratch/postgres/data" -A trust -U bench >/dev/null
unprivileged "$postgres_bin/postgres" -D "$scratch/postgres/data" -k "$scratch/postgres" -p "$POSTGRES" \
    -c listen_addresses=127.0.0.1 -c synchronous_commit=on -c fsync=on -c max_connections=300 \
    >"$scratch/postgres.log" 2>&1 &
for port in "$ETCD" "$REDIS" "$POSTGRES"; do answers "$port"; done

echo "== one client for all"
cargo bench --bench http -- --etcd "127.0.0.1:$ETCD" --redis "127.0.0.1:$REDIS" --seconds "$seconds" "$@"

echo "== each by its own client"
for clients in 64 256; do
    printf 'Redis, redis-benchmark, %s clients, SET of 100 bytes, appendfsync always: ' "$clients"
    redis-benchmark -p "$REDIS" -t set -c "$clients" -n 200000 -d 100 -r 10000 --csv | tail -n 1
done
printf 'etcd, etcdctl check perf, 1,000 clients that ask for 15,000 puts/s: '
# It ends with an error where it did not get what it asked for.
{ ETCDCTL_API=3 etcdctl --endpoints "127.0.0.1:$ETCD" check perf --load xl 2>&1 || true; } | grep -iE 'throughput|slowest' | paste -sd ' '
echo 'create table events (id bigserial primary key, stream text, payload bytea)' |
    psql -q -h 127.0.0.1 -p "$POSTGRES" -U bench postgres
echo "insert into events (stream, payload) values ('lock/bench', repeat('x', 100)::bytea);" >"$scratch/insert.sql"
for clients in 32 64 256; do
    printf 'PostgreSQL, pgbench, %s clients, an insert of 100 bytes a commit: ' "$clients"
    pgbench -n -h 127.0.0.1 -p "$POSTGRES" -U bench -c "$clients" -j 2 -T "$seconds" -f "$scratch/insert.sql" postgres 2>/dev/null |
        grep -E '^(latency average|tps)' | paste -sd ' '
done
