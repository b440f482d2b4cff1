#!/usr/bin/env bash
# Pictures a second that become two augmented views: this engine's loader and Pillow with torchvision, by turns.
#
#   bench/loader_race.sh [ROUNDS] FOLDER SIZE [FOLDER SIZE…]
#
# FOLDER holds JPEG or PNG files, SIZE is the side of a view in pixels, ROUNDS is 5 unless given. Each round runs the
# peer on core 0, this engine with one thread on core 0, then with two threads on cores 0 and 1. The table has
# medians over the rounds, and of the ratios their least and largest. The peer is installed by pip
# (bench/peer.sh; DCL_PEER names one that is there), in the versions of README's table unless
# DCL_PEER_PACKAGES says others ("torch torchvision pillow" for the newest); bench/torch_pipeline.py is what it runs.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '2,10p' "$0" | cut -c3- >&2; exit 2; }
rounds=5
if [[ ${1:-} =~ ^[1-9][0-9]*$ ]]; then
  rounds=$1
  shift
fi
[ $# -ge 2 ] && [ $(($# % 2)) -eq 0 ] || usage

read -ra packages <<< "${DCL_PEER_PACKAGES:-torch==2.15.* torchvision==0.29.* pillow==12.3.*}"
peer=$(bench/peer.sh "${packages[@]}")
scripts/build.sh release bench_loader

# FIELD of the object on the last line.
field() { tail -n 1 | "$peer/bin/python3" -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# Seconds of work in every run, roughly the same for both.
seconds=8
theirs() { taskset -c 0 "$peer/bin/python3" bench/torch_pipeline.py "$1" --size "$2" --count "$3" | field pictures_per_s; }
ours() { taskset -c "$4" build/release/bin/bench_loader "$1" --size "$2" --count "$3" --threads "$5" | field pictures_per_s; }
times() { awk -v rate="$1" -v seconds="$seconds" 'BEGIN { print int(rate * seconds) + 50 }'; }

"$peer/bin/python3" -c 'import PIL, torch, torchvision
print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, Pillow {PIL.__version__}")'
echo '| pictures | side | PyTorch, 1 core | this engine, 1 thread | ratio (least to largest) | 2 threads | to 1 thread |'
echo '|---|---|---|---|---|---|---|'
while [ $# -gt 0 ]; do
  folder=$1
  size=$2
  shift 2
  their_count=$(times "$(theirs "$folder" "$size" 100)")
  our_count=$(times "$(ours "$folder" "$size" 400 0 1)")
  rows=""
  for ((i = 0; i < rounds; ++i)); do
    rows+="$(theirs "$folder" "$size" "$their_count") "
    rows+="$(ours "$folder" "$size" "$our_count" 0 1) "
    rows+="$(ours "$folder" "$size" $((2 * our_count)) 0,1 2)"$'\n'
  done
  "$peer/bin/python3" - "$(basename "$folder")" "$size" "$rows" <<'PYTHON'
import statistics, sys
name, size, text = sys.argv[1:]
rows = [[float(x) for x in line.split()] for line in text.splitlines() if line]
theirs, one, two = (statistics.median(column) for column in zip(*rows))
ratios = sorted(row[1] / row[0] for row in rows)
gains = [row[2] / row[1] for row in rows]
print(f"| {name} | {size} | {theirs:.1f} | {one:.1f} | {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
      f" | {two:.1f} | {statistics.median(gains):.2f} |")
PYTHON
done
