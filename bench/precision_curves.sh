#!/usr/bin/env bash
# Does training in bfloat16 stay within float32's own spread? The demo's recipe on its scenes, in float32 with six
# seeds and in bfloat16 with four:
#
#   bench/precision_curves.sh [FLOAT32_SEEDS [BFLOAT16_SEEDS]]
#
# Every mean of 50 steps in bfloat16 has to lie in the band of float32's (bench/curve_bands.py): prints the table of
# curve_check, exits as it does, and draws docs/bf16_curves.svg. Runs are kept in work_dirs/precision and not repeated;
# one of them takes minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

for count in "$@"; do
  [[ $count =~ ^[1-9][0-9]*$ ]] || { sed -n '2,9p' "$0" | cut -c3- >&2; exit 2; }
done
declare -A seeds=([fp32]=${1:-6} [bf16]=${2:-4})
scripts/install_deps.sh > /dev/null
scripts/build.sh release densecl_scenes densecl_train curve_check > /dev/null
bin=build/release/bin
folder=work_dirs/precision
mkdir -p "$folder"
if [ ! -d "$folder/scenes" ]; then
  rm -rf "$folder/scenes.part"
  "$bin/densecl_scenes" "$folder/scenes.part" --count 2000 --seed 1
  mv "$folder/scenes.part" "$folder/scenes"
fi

for precision in fp32 bf16; do
  for ((seed = 0; seed < seeds[$precision]; ++seed)); do
    run=$folder/$precision.$seed
    [ ! -e "$run.jsonl" ] || continue
    rm -rf "$run"
    "$bin/densecl_train" "$folder/scenes/JPEGImages" --method densecl --arch resnet18 --image-size 64 --batch-size 64 \
      --moco-k 2048 --moco-m 0.99 --neck-hidden 512 --bn-groups 2 --lr 0.06 --cos --epochs 15 --print-freq 1 \
      --workers 2 --seed "$seed" --precision "$precision" --output-dir "$run"
    cp "$run/metrics.jsonl" "$run.jsonl"
  done
done

metrics() { for ((seed = 0; seed < seeds[$1]; ++seed)); do echo "$folder/$1.$seed.jsonl"; done; }
mapfile -t single < <(metrics fp32)
mapfile -t half < <(metrics bf16)
python3 bench/curve_bands.py "${single[@]}" > "$folder/bands.json"
"$bin/curve_check" "$folder/bands.json" "${half[@]}" --svg docs/bf16_curves.svg
