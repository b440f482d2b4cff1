#!/usr/bin/env bash
# Pre-trains a ResNet-18 with DenseCL on pictures that the project draws itself: installs what is missing, builds,
# draws 2,000 scenes (once), trains for at most 6 minutes, and says where everything is. Each call makes a fresh
# folder work_dirs/demo_N, and work_dirs/demo is a link to the newest.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly max_seconds=345  # of training; the last save is in it

scripts/install_deps.sh
scripts/build.sh release densecl_scenes densecl_train
bin=build/release/bin
mkdir -p work_dirs

# Drawn beside and moved, so that a folder of that name is always whole.
if [ ! -d work_dirs/scenes ]; then
  echo "Drawing 2,000 scenes into work_dirs/scenes"
  rm -rf work_dirs/scenes.part
  "$bin/densecl_scenes" work_dirs/scenes.part --count 2000 --seed 1
  mv work_dirs/scenes.part work_dirs/scenes
fi

number=1
until mkdir "work_dirs/demo_$number" 2> /dev/null; do
  [ -d "work_dirs/demo_$number" ] || { echo "demo.sh: work_dirs/demo_$number cannot be made" >&2; exit 1; }
  number=$((number + 1))
done
output=work_dirs/demo_$number
ln -sfn "demo_$number" work_dirs/demo

# SIGTERM ends training with a checkpoint and exit status 0.
timeout --foreground --preserve-status --signal=TERM "$max_seconds" \
  "$bin/densecl_train" work_dirs/scenes/JPEGImages --method densecl --arch resnet18 --image-size 64 \
  --batch-size 64 --moco-k 2048 --moco-m 0.99 --neck-hidden 512 --bn-groups 2 --lr 0.06 --cos --epochs 15 --print-freq 10 \
  --workers 2 --seed 0 --output-dir "$output" "$@"

echo
echo "The demo's run is in $output (also work_dirs/demo):"
echo "  log         $output/train.log"
echo "  metrics     $output/metrics.jsonl"
echo "  checkpoint  $output/$(readlink "$output/latest.safetensors")"
for picture in "$output"/*.svg "$output"/*.png; do
  [ ! -e "$picture" ] || echo "  picture     $picture"
done
