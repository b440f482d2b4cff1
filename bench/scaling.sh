#!/usr/bin/env bash
# How a DenseCL step of this engine grows with threads and with the batch: bench/scaling.sh [ROUNDS]
#
# Pairs a second of ResNet-50 at 224 px (queue 65,536) and ResNet-18 at 64 px (queue 4,096) with one thread and with
# two, batch 16 and 64, by turns; medians over the ROUNDS, 3 unless given. Then: how much faster two threads are, how
# much faster the larger batch is, and the peak memory beside what densecl/expected_memory.h expects, in MiB.
# DCL_RACE_RUN is a command to measure under, as "taskset -c 0,1". The largest row takes 5 GiB.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-3}
[[ $rounds =~ ^[1-9][0-9]*$ ]] || { sed -n '2,7p' "$0" | cut -c3- >&2; exit 2; }
read -ra under <<< "${DCL_RACE_RUN:-}"
scripts/build.sh release bench_step > /dev/null
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT

# Two steps of the larger network are seconds already.
for ((round = 0; round < rounds; ++round)); do
  for batch in 16 64; do
    for threads in 1 2; do
      "${under[@]}" build/release/bin/bench_step --arch resnet50 --size 224 --queue 65536 --batch "$batch" \
        --threads "$threads" --warmup 1 --steps $((batch == 16 ? 3 : 1)) | tail -n 1 >> "$lines"
      "${under[@]}" build/release/bin/bench_step --arch resnet18 --size 64 --queue 4096 --batch "$batch" \
        --threads "$threads" --warmup 2 --steps 10 | tail -n 1 >> "$lines"
    done
  done
done

python3 - "$lines" <<'PYTHON'
import json, statistics, sys

runs = {}
with open(sys.argv[1]) as file:
    for line in map(json.loads, file):
        runs.setdefault((line["arch"], line["size"], line["batch"], line["threads"]), []).append(line)


def median(key, field):
    return statistics.median(line[field] for line in runs[key])


print("| network | batch | 1 thread, pairs/s | 2 threads | to 1 | to batch 16 | peak memory, MiB | expected | peak / expected |")
print("|---|---|---|---|---|---|---|---|---|")
for arch, size, batch in sorted({key[:3] for key in runs}, key=lambda key: (-key[1], key[2])):
    one, two, small = (arch, size, batch, 1), (arch, size, batch, 2), (arch, size, 16, 2)
    rates = median(one, "pairs_per_s"), median(two, "pairs_per_s")
    peak, expected = median(two, "peak_MiB"), median(two, "expected_MiB")
    print(f"| {arch}, {size} px | {batch} | {rates[0]:.2f} | {rates[1]:.2f} | {rates[1] / rates[0]:.2f} |"
          f" {rates[1] / median(small, 'pairs_per_s'):.2f} | {peak:,.0f} | {expected:,.0f} | {peak / expected:.2f} |")
PYTHON
