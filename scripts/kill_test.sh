#!/usr/bin/env bash
# Kills a training run at random moments and takes it up again, with 1 and with 4 loader threads; then metrics and
# the last checkpoint have to be, to the last bit, those of a run that was never stopped.
#
#   scripts/kill_test.sh BIN PHOTOS [KILLS] [FLAG…]
#
# BIN is the folder of densecl_train (build/release/bin), PHOTOS a folder of pictures; KILLS is 10 unless given;
# more flags go to densecl_train. Exit status 0: all equal.
set -euo pipefail

[ $# -ge 2 ] || { sed -n '2,9p' "$0" | cut -c3- >&2; exit 2; }
bin=$1
photos=$2
kills=${3:-10}
shift $(($# > 3 ? 3 : $#))
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
flags=(--arch resnet18 --image-size 32 -b 8 --moco-k 64 --neck-hidden 64 --bn-groups 2 --epochs 4 -p 1 "$@")

# What must not differ: metrics without what was measured (times, memory, how far ahead the loader was), and the
# newest checkpoint.
facts() {
  sed -E 's/, "(time|data_time|memory|eta_s|pictures_per_s|batches_ready)": [^,]*//g' "$1/metrics.jsonl"
  readlink "$1/latest.safetensors"
  sha256sum < "$1/latest.safetensors"
}

started=$(date +%s%N)
"$bin/densecl_train" "$photos" "${flags[@]}" --output-dir "$scratch/whole" > "$scratch/whole.log"
duration_ms=$((($(date +%s%N) - started) / 1000000))
facts "$scratch/whole" > "$scratch/whole.facts"
echo "never stopped: $(wc -l < "$scratch/whole/metrics.jsonl") steps in $duration_ms ms"

compare() {
  facts "$1" > "$scratch/killed.facts"
  diff "$scratch/whole.facts" "$scratch/killed.facts"
}

for workers in 1 4; do
  output=$scratch/killed_$workers
  again=("$bin/densecl_train" "$photos" "${flags[@]}" -j "$workers" --resume auto --output-dir "$output")
  for ((n = 1; n <= kills; ++n)); do
    "${again[@]}" > "$scratch/log" 2>&1 &
    pid=$!
    delay_ms=$((RANDOM * duration_ms / 32768))
    sleep "$(printf '%d.%03d' $((delay_ms / 1000)) $((delay_ms % 1000)))"
    if ! kill -KILL "$pid" 2> /dev/null; then
      compare "$output"  # it was through already: from the start again
      rm -rf "$output"
    fi
    wait "$pid" 2> /dev/null || true
    newest=$(readlink "$output/latest.safetensors" || echo "no checkpoint")
    echo "workers $workers, kill $n after $delay_ms ms: $newest"
  done
  "${again[@]}" > "$scratch/log"
  compare "$output"
  echo "workers $workers: equal to the last bit after $kills kills"
done
