#!/usr/bin/env bash
# A training step of this engine against the newest LibTorch, by turns on the same processor.
#
#   bench/race.sh [ROUNDS [ROW…]]
#
# ROWs are METHOD:ARCH:SIZE:BATCH:QUEUE:PRECISION, as densecl:resnet50:224:16:65536:fp32; METHOD is densecl, mocov2 or
# forward (features in evaluation mode). Without any, those of README's table; ROUNDS is 3 unless given. Each round
# runs this engine, LibTorch's C++ API with channels_last and with NCHW, torch.compile in Python, and for features
# OpenVINO, in turn, each in a process of its own with DCL_RACE_THREADS threads (2). Before that the two C++ programs
# take a few steps from the same weights and pictures, and their losses have to agree. The table has medians over the
# rounds, and of the ratios their least and largest; memory is the peak, and in brackets the peak less what was resident
# after start-up, in MiB, of the two C++ programs. PyTorch and OpenVINO are installed by pip, or taken from
# where DCL_PEER says (bench/peer.sh); DCL_RACE_COMPILE=0 leaves torch.compile out, DCL_RACE_OPENVINO=0 OpenVINO.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=3
if [ $# -gt 0 ]; then
  [[ $1 =~ ^[1-9][0-9]*$ ]] || { sed -n '2,13p' "$0" | cut -c3- >&2; exit 2; }
  rounds=$1
  shift
fi
rows=("$@")
[ ${#rows[@]} -gt 0 ] || rows=(densecl:resnet50:224:16:65536:fp32 mocov2:resnet50:224:16:65536:fp32
                               densecl:resnet18:64:64:4096:fp32 mocov2:resnet18:64:64:4096:fp32
                               forward:resnet50:224:1:1:fp32 forward:resnet50:224:16:1:fp32)
threads=${DCL_RACE_THREADS:-2}

peer=$(bench/peer.sh)
openvino=${DCL_RACE_OPENVINO:-1}
[[ " ${rows[*]}" == *" forward:"* ]] || openvino=0
if [ "$openvino" = 1 ] && ! "$peer/bin/python3" -c 'import openvino' 2> /dev/null; then
  "$peer/bin/pip" install --quiet openvino
fi
torch=$("$peer/bin/python3" -c 'import os, torch; print(os.path.dirname(torch.__file__))')
cmake --preset release -DDCL_LIBTORCH="$torch" > /dev/null
scripts/build.sh release bench_step libtorch_step > /dev/null

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bin=build/release/bin
last_line() { tail -n 1 | tee -a "$scratch/lines" > /dev/null; }

echo "processor: $(grep -m 1 'model name' /proc/cpuinfo | cut -d: -f2- | xargs);" \
  "$(grep -m 1 ^flags /proc/cpuinfo | tr ' ' '\n' | grep -xE 'avx2|fma|avx512f|avx512_vnni|avx512_bf16|amx_tile|amx_bf16' | xargs)"
echo "$threads threads; torch $("$peer/bin/python3" -c 'import torch; print(torch.__version__)'); $rounds rounds"
"$peer/bin/python3" bench/race_table.py head
for row in "${rows[@]}"; do
  IFS=: read -r method arch size batch queue precision <<< "$row"
  flags=(--method "$method" --arch "$arch" --size "$size" --batch "$batch" --queue "$queue" --threads "$threads")
  # Enough steps for several seconds.
  steps=3
  [ "$arch" = resnet50 ] && [ "$method" != forward ] || steps=15

  : > "$scratch/lines"
  $bin/bench_step "${flags[@]}" --precision "$precision" --warmup 0 --steps 3 --start "$scratch/start" | last_line
  $bin/libtorch_step "${flags[@]}" --precision "$precision" --warmup 0 --steps 3 --start "$scratch/start" | last_line
  "$peer/bin/python3" bench/race_table.py agree "$scratch/lines"

  : > "$scratch/lines"
  for ((round = 0; round < rounds; ++round)); do
    $bin/bench_step "${flags[@]}" --precision "$precision" --steps "$steps" | last_line
    $bin/libtorch_step "${flags[@]}" --precision "$precision" --steps "$steps" | last_line
    $bin/libtorch_step "${flags[@]}" --precision "$precision" --steps "$steps" --nchw | last_line
    if [ "${DCL_RACE_COMPILE:-1}" = 1 ]; then
      "$peer/bin/python3" bench/torch_step.py "${flags[@]}" --precision "${precision/fp32/f32}" --steps "$steps" --compile \
        2> /dev/null | last_line
    fi
    if [ "$openvino" = 1 ] && [ "$method" = forward ]; then
      "$peer/bin/python3" bench/openvino_forward.py --arch "$arch" --size "$size" --batch "$batch" \
        --precision "$precision" --threads "$threads" --steps "$steps" | last_line
    fi
  done
  "$peer/bin/python3" bench/race_table.py row "$scratch/lines"
done
