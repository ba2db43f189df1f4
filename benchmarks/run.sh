#!/bin/sh
# Run the load rig over Plumbline: benchmarks/run.sh RIG_FOLDER HOME_FOLDER WORKLOADS… [options of the rig]
# RIG_FOLDER holds bench.py and its adapters; HOME_FOLDER is filled with data and a log.
set -eu
rig=$1; home=$2; shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
PATH=$root/.venv/bin:$PATH BENCH_OURS=${BENCH_OURS:-$root/benchmarks/ours.json} BENCH_FLOWS=$root/benchmarks/flows \
    exec "$root/.venv/bin/python" "$rig/bench.py" --sut ours --home "$home" "$@"
