#!/usr/bin/env bash
# Every operation of a training step by itself, this engine against PyTorch, by turns on the same processor.
#
#   bench/ops_race.sh [ROUNDS [FLAG…]]
#
# ROUNDS is 3 unless given; FLAGs go to bench_ops: --arch, --size, --batch, --queue, --precision, --time, --only, as
# `--only "conv 3x3"`. Each round runs build/release/bin/bench_ops, then bench/torch_ops.py with the same list, each
# in a process of its own with DCL_RACE_THREADS threads (2), which takes the least of several times. The table has
# medians over the rounds, of the ratios (PyTorch's time over ours) also their least and largest, and the ratio of the
# least times of either side, which a busy machine changes least: rows are in its order, those below 0.9 marked.
# GFLOP/s are those of the direct formula, GB/s count each operand once. DCL_PEER: see bench/peer.sh. DCL_RACE_RUN is
# a command to measure under, as "taskset -c 0,1".
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=3
if [ $# -gt 0 ]; then
  [[ $1 =~ ^[1-9][0-9]*$ ]] || { sed -n '2,12p' "$0" | cut -c3- >&2; exit 2; }
  rounds=$1
  shift
fi
threads=${DCL_RACE_THREADS:-2}
read -ra under <<< "${DCL_RACE_RUN:-}"

peer=$(bench/peer.sh)
scripts/build.sh release bench_ops > /dev/null
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

build/release/bin/bench_ops "$@" --list > "$scratch/list"
for ((round = 0; round < rounds; ++round)); do
  "${under[@]}" build/release/bin/bench_ops "$@" --threads "$threads" >> "$scratch/ours"
  "${under[@]}" "$peer/bin/python3" bench/torch_ops.py "$scratch/list" --threads "$threads" >> "$scratch/theirs"
done

echo "processor: $(grep -m 1 'model name' /proc/cpuinfo | cut -d: -f2- | xargs);" \
  "$(build/release/bin/bench_ops --version | sed -n 's/^CPU paths: //p')"
echo "$threads threads; torch $("$peer/bin/python3" -c 'import torch; print(torch.__version__)'); $rounds rounds"
python3 bench/ops_table.py "$scratch/ours" "$scratch/theirs"
