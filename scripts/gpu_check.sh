#!/usr/bin/env bash
# Everything that wants a GPU, in one go: scripts/gpu_check.sh [--bin FOLDER] [--out FOLDER] [--quick]
#
#   scripts/gpu_check.sh                  builds the preset cuda first, with nvcc
#   scripts/gpu_check.sh --bin build/cuda/bin   takes programs that were built elsewhere; needs nothing but a driver
#   scripts/gpu_check.sh --quick          without the large steps and without PyTorch
#   scripts/gpu_check.sh --pack FILE      here, without a GPU: programs and Debian's libraries as FILE (.tar.xz, 15 MB),
#                                         which --bin takes there in place of a folder
#
# Tests of the CUDA backend; the recorded reference cases in float64 and float32; a tiny training run under
# compute-sanitizer's memcheck, racecheck, initcheck and synccheck; the step of ResNet-50 with 256 pairs, by this
# engine and, where it is installed, by PyTorch (with and without torch.compile). Closes with a table; logs are in the
# folder of --out (build/gpu_check). Exit status 0 when every check that could run has passed.
#
# cuDNN and cuBLAS are looked for beside the programs, in /usr/local/cuda and in an installed PyTorch.
set -uo pipefail
cd "$(dirname "$0")/.."

bin=""
out=build/gpu_check
quick=0
pack=""
while [ $# -gt 0 ]; do
  case $1 in
    --bin) bin=${2:?--bin needs a folder or a packed file}; shift ;;
    --out) out=${2:?--out needs a folder}; shift ;;
    --quick) quick=1 ;;
    --pack) pack=${2:?--pack needs a file}; shift ;;
    *) sed -n '2,17p' "$0" | cut -c3- >&2; exit 2 ;;
  esac
  shift
done
if [ -z "$bin" ]; then
  scripts/install_deps.sh && scripts/build.sh cuda > /dev/null || exit 1
  bin=build/cuda/bin
fi

# Stripped, with all shared libraries but the C library's, the driver's and the toolkit's.
if [ -n "$pack" ]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  for program in test_cuda parity bench_step densecl_train densecl_scenes; do
    strip -o "$folder/$program" "$bin/$program" || exit 1
    ldd "$bin/$program" | awk '$3 ~ /^\// { print $3 }'
  done | sort -u | grep -vE '/(libc|libm|libdl|librt|libpthread|ld-linux[^/]*|libcuda|libcu(blas|dnn)[^/]*)\.so' |
    xargs -I{} cp -L {} "$folder"
  tar -C "$folder" -cJf "$pack" . || exit 1
  echo "gpu_check: $pack, $(($(stat -c %s "$pack") >> 10)) KiB"
  exit 0
fi

export DCL_SOURCE_DIR=$PWD
mkdir -p "$out"
if [ -f "$bin" ]; then
  mkdir -p "$out/bin" && tar -C "$out/bin" -xJf "$bin" || exit 1
  bin=$out/bin
fi
python=$(command -v python3 || true)
torch_folder=""
if [ -n "$python" ]; then
  torch_folder=$("$python" -c 'import os, torch; print(os.path.dirname(torch.__file__))' 2> /dev/null || true)
fi
libraries=$bin:/usr/local/cuda/lib64
if [ -n "$torch_folder" ]; then
  for folder in "$torch_folder"/../nvidia/*/lib; do [ -d "$folder" ] && libraries+=:$(realpath "$folder"); done
fi
export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

failed=0
rows=()
row() { rows+=("| $1 | $2 | $3 |"); printf '%-44s %-8s %s\n' "$1" "$2" "$3"; }
last() { tail -n 1 "$1" | cut -c1-160; }

# check NAME LOG COMMAND…: what it prints goes to LOG, the last line into the table.
check() {
  local name=$1 log=$out/$2
  shift 2
  if "$@" > "$log" 2>&1; then
    row "$name" passed "$(last "$log")"
  else
    failed=1
    row "$name" FAILED "status $?: $(last "$log")"
  fi
}

if [ ! -x "$bin/test_cuda" ]; then
  echo "gpu_check: $bin has no test_cuda: build the preset cuda, or say --bin" >&2
  exit 1
fi
if ! "$bin/bench_step" --device cuda --arch resnet18 --size 32 --batch 2 --queue 16 --steps 1 --warmup 0 > "$out/start.log" 2>&1
then
  echo "gpu_check: $(last "$out/start.log")" >&2
  exit 1
fi

check "tests of the CUDA backend" tests.log "$bin/test_cuda"
for file in tests/golden/*.json; do
  name=$(basename "$file" .json)
  for type in f64 f32; do
    check "parity $name $type" "parity_${name}_$type.log" "$bin/parity" "$file" --device cuda --dtype "$type"
  done
done

sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2> /dev/null || true)
if [ -n "$sanitizer" ]; then
  for tool in memcheck racecheck initcheck synccheck; do
    for precision in fp32 bf16; do
      DCL_ALLOCATOR=plain check "$tool, a tiny step, $precision" "${tool}_$precision.log" \
        "$sanitizer" --tool "$tool" --error-exitcode 9 "$bin/bench_step" --device cuda --precision "$precision" \
        --arch resnet18 --size 32 --batch 4 --queue 64 --steps 1 --warmup 1 --cuda-graph off
    done
  done
else
  row "compute-sanitizer" "not run" "there is none"
fi

figure() { sed -n 's/.*"pairs_per_s":[ ]*\([0-9.]*\).*/\1/p' "$1" | tail -n 1; }
step=(--arch resnet50 --size 224 --batch 256 --queue 65536 --steps 20 --warmup 5)
if [ "$quick" = 0 ]; then
  for method in densecl mocov2; do
    for precision in bf16 fp32; do
      log=step_${method}_$precision.log
      check "step $method $precision" "$log" "$bin/bench_step" --device cuda --method "$method" --precision "$precision" "${step[@]}"
      [ -n "$torch_folder" ] || continue
      for compile in "" --compile; do
        theirs=$out/torch_${method}_$precision$compile.log
        if "$python" bench/torch_step.py --device cuda --method "$method" --precision "${precision/fp32/f32}" "${step[@]}" $compile \
          > "$theirs" 2>&1; then
          ratio=$(awk -v a="$(figure "$out/$log")" -v b="$(figure "$theirs")" 'BEGIN { printf b > 0 ? "%.2f" : "-", a / b }')
          row "  PyTorch ${compile#--}" measured "$(figure "$theirs") pairs/s, ours $(figure "$out/$log"): $ratio"
        else
          row "  PyTorch ${compile#--}" "not run" "$(last "$theirs")"
        fi
      done
    done
  done
  check "where a step's time goes, op by op" profile.log "$bin/bench_step" --device cuda --precision bf16 "${step[@]}" --profile
  check "the dense half" dense_half.log "$bin/bench_step" --device cuda --precision bf16 "${step[@]}" --dense-half
fi

{
  echo "commit: $("$bin/densecl_train" --version | sed -n 's/^commit: //p'); $(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2> /dev/null | head -n 1)"
  echo
  echo "| check | result | |"
  echo "|---|---|---|"
  printf '%s\n' "${rows[@]}"
} | tee "$out/table.md"
exit $failed
