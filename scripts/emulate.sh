#!/usr/bin/env bash
# Runs the release programs on another processor, emulated: scripts/emulate.sh [CPU]
#
#   scripts/emulate.sh           Nehalem, a processor without AVX
#   scripts/emulate.sh Haswell   AVX2 without AVX-512; any other name of `qemu-x86_64 -cpu help`
#
# All tests of operations, those of products, features and augmentation, and two training steps: an instruction that
# the processor lacks ends the program (SIGILL). The same binaries run here and there, so what differs is chosen at
# run time.
set -euo pipefail
cd "$(dirname "$0")/.."

cpu=${1:-Nehalem}
scripts/install_deps.sh --emulate
scripts/build.sh release test_ops test_tensor test_data densecl_scenes densecl_train > /dev/null
bin=build/release/bin
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Kernels that OpenBLAS is told to take on this processor may be none for that one.
emulated() { env -u OPENBLAS_CORETYPE qemu-x86_64 -cpu "$cpu" "$@"; }

# What each says is kept, and shown where it fails.
check() {
  local name=$1 started=$SECONDS
  shift
  if "$@" > "$scratch/$name" 2>&1; then
    printf 'emulate: %-8s on %s in %d s: %s\n' "$name" "$cpu" $((SECONDS - started)) "$(tail -1 "$scratch/$name")"
  else
    local status=$?
    tail -40 "$scratch/$name"
    echo "emulate: $name on $cpu FAILED with status $status" >&2
    return 1
  fi
}

train() {
  emulated "$bin/densecl_scenes" "$scratch/scenes" --count 8 --seed 1
  emulated "$bin/densecl_train" "$scratch/scenes/JPEGImages" --arch resnet18 --image-size 32 -b 4 --moco-k 64 \
    --moco-dim 16 --neck-hidden 64 --bn-groups 2 --max-iters 2 --epochs 2 -p 1 --output-dir "$scratch/run"
}

emulated "$bin/densecl_train" --version | sed -n 's/^CPU paths/emulate: paths/p'
# The longest one beside all others. Tables of tiles go through every path, emulated AMX among them, which takes
# minutes when it is emulated once more; the ops on bfloat16 go through the path for this processor.
again=Tiles.*:InfoNce.ByTiles*:StreamedResults.ConvolveFloatByTiles:ChannelMoments.OfStripsThatPassByOnePanel
check ops emulated "$bin/test_ops" --gtest_filter="-$again" &
ops=$!
status=0
check tensor emulated "$bin/test_tensor" --gtest_filter='Gemm.*:DType.*:Random.*:Threads.*:Features.*-Features.LimitIsKept' || status=1
check data emulated "$bin/test_data" \
  --gtest_filter='AugmentGolden.*:CropResize.*:GaussianBlur.*:Adjust.*:ApplyView.*:NormaliseView.*:DecodeJpeg.*:DecodePng.*' ||
  status=1
check train train || status=1
wait "$ops" || status=1
exit "$status"
