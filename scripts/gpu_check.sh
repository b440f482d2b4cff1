#!/usr/bin/env bash
# Everything that wants a GPU, in one go: scripts/gpu_check.sh [--bin FOLDER] [--out FOLDER] [--quick]
#
#   scripts/gpu_check.sh                  builds the preset cuda first, with nvcc
#   scripts/gpu_check.sh --bin build/cuda/bin   takes programs that were built elsewhere
#   scripts/gpu_check.sh --quick          without the large steps and without PyTorch
#   scripts/gpu_check.sh --pack FILE      here, without a GPU: programs and Debian's libraries as FILE (.tar.xz, 15 MB),
#                                         which --bin takes there in place of a folder; from build/cuda/bin, or --bin
#
# Tests of the CUDA backend; the recorded reference cases in float64 and float32; tests, tiny steps and a tiny training
# run under compute-sanitizer's memcheck, and the steps under racecheck, initcheck and synccheck; the step of ResNet-50
# with 256 pairs, by this engine and, where it is installed, by PyTorch (with and without torch.compile; without TF32 in
# fp32, as here). Closes with a table; logs are in the folder of --out (build/gpu_check). Exit status 0 when every check
# that could run has passed.
#
# With --bin it needs a driver for CUDA 13, cuBLASLt 13 and cuDNN 9 (for CUDA 13), a checkout with tests/golden and
# bench, and a C library not older than that of the machine which built the programs. cuDNN and cuBLASLt are looked for
# beside the programs, in /usr/local/cuda and in wheels of python3 (nvidia/*/lib).
set -uo pipefail

die() {
  echo "gpu_check: $*" >&2
  exit 1
}

bin=""
out=""
quick=0
pack=""
while [ $# -gt 0 ]; do
  case $1 in
    --bin) bin=$(realpath "${2:?--bin needs a folder or a packed file}") || exit 1; shift ;;
    --out) out=$(realpath -m "${2:?--out needs a folder}") || exit 1; shift ;;
    --quick) quick=1 ;;
    --pack) pack=$(realpath "${2:?--pack needs a file}") || exit 1; shift ;;
    *) sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
  shift
done
cd "$(dirname "$0")/.." || exit 1

programs=(test_cuda parity bench_step densecl_train densecl_scenes)
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# What is missing in $bin is named, with what to do about it.
need_programs() {
  local program
  for program in "${programs[@]}"; do [ -x "$bin/$program" ] || die "there is no $bin/$program: $1"; done
}

# Stripped, with all shared libraries but the C library's, the driver's and the toolkit's.
if [ -n "$pack" ]; then
  bin=${bin:-build/cuda/bin}
  need_programs "build it first (scripts/build.sh cuda), or say --bin"
  for program in "${programs[@]}"; do
    strip -o "$scratch/$program" "$bin/$program" || die "$program cannot be stripped"
    ldd "$bin/$program" || die "$program: its libraries cannot be listed"
  done > "$scratch/.libraries" || exit 1
  missing=$(sed -n 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p' "$scratch/.libraries" | sed '/^libcu/d' |
    sort -u | tr '\n' ' ')
  [ -z "$missing" ] || die "not found here: $missing"
  awk '$3 ~ /^\// { print $3 }' "$scratch/.libraries" | sort -u |
    sed -E '/\/(libc|libm|libdl|librt|libpthread|ld-linux[^/]*|libcuda|libcu(blas|dnn)[^/]*)\.so/d' |
    xargs cp -L -t "$scratch" || die "a library could not be copied"
  rm "$scratch/.libraries"
  tar -C "$scratch" -cJf "$pack" . || die "$pack could not be written"
  echo "gpu_check: $pack, $(($(stat -c %s "$pack") >> 10)) KiB"
  exit 0
fi

if [ -z "$bin" ]; then
  scripts/install_deps.sh && scripts/build.sh cuda > /dev/null || exit 1
  bin=$PWD/build/cuda/bin
fi
export DCL_SOURCE_DIR=$PWD
out=${out:-$PWD/build/gpu_check}
mkdir -p "$out" || exit 1
if [ -f "$bin" ]; then
  { mkdir -p "$out/bin" && tar -C "$out/bin" -xJf "$bin"; } || die "$bin cannot be unpacked"
  bin=$out/bin
fi
need_programs "build the preset cuda, or say another --bin"

libraries=$bin:/usr/local/cuda/lib64:/usr/local/cuda/lib
python=$(command -v python3 || true)
wheels() { "$python" -c 'import nvidia; print(*nvidia.__path__, sep="\n")' 2> /dev/null; }
while read -r folder; do
  for each in "$folder"/*/lib; do [ -d "$each" ] && libraries+=:$each; done
done < <(if [ -n "$python" ]; then wheels; fi)
libraries+=${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

# For our programs only: Python and its PyTorch have libraries of their own.
ours() { env LD_LIBRARY_PATH="$libraries" "$@"; }

failed=0
rows=()
row() { rows+=("| $1 | $2 | $3 |"); printf '%-44s %-8s %s\n' "$1" "$2" "$3"; }

# What a log says, for the table.
last() { tail -n 1 "$1" | sed 's/^=* *//' | cut -c1-160; }
# field KEY LOG: the last number that a line of JSON has for KEY; OUTER.INNER for one inside an object.
field() {
  local outer=""
  [[ $1 != *.* ]] || outer="\"${1%.*}\": *{[^}]*"
  sed -n "s/.*$outer\"${1##*.}\": *\([-0-9.][-+0-9.eE]*\).*/\1/p" "$2" | tail -n 1
}
rate() { field pairs_per_s "$1" | awk '{ printf "%.1f", $1 }'; }
step() { echo "$(rate "$1") pairs/s, peak on the device $(field device_peak_MiB "$1") MiB"; }
dense_half() { field dense_half.ms "$1" | awk '{ printf "%.2f ms of a step\n", $1 }'; }
tests() {
  local count=() word number
  for word in PASSED SKIPPED FAILED; do
    number=$(sed -n "s/^\[ *$word *\] \([0-9][0-9]*\) test.*/\1/p" "$1" | tail -n 1)
    case $word:$number in
      PASSED:) last "$1"; return ;;  # ended before its summary
      FAILED:) ;;
      *) count+=("${number:-0} ${word,,}") ;;
    esac
  done
  number=$(sed -n 's/^=* *ERROR SUMMARY: //p' "$1")  # the sanitizer's
  [ -z "$number" ] || count+=("memcheck: $number")
  (IFS=,; echo "${count[*]}") | sed 's/,/, /g'
}

# check NAME LOG SAYS COMMAND…: what it prints goes to LOG; what SAYS (one of the above) finds there, into the table.
check() {
  local name=$1 log=$out/$2 says=$3 status
  shift 3
  if "$@" > "$log" 2>&1; then
    row "$name" passed "$("$says" "$log")"
  else
    status=$?
    failed=1
    [ "$says" = tests ] || says=last
    row "$name" FAILED "status $status: $("$says" "$log")"
  fi
}

missing=$(for program in "${programs[@]}"; do ours ldd "$bin/$program" 2> /dev/null; done |
  sed -n 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p' | sort -u | tr '\n' ' ')
[ -z "$missing" ] || die "not found: ${missing% }; looked in ${libraries//:/, } and where the system has its libraries"
ours "$bin/bench_step" --device cuda --arch resnet18 --size 32 --batch 2 --queue 16 --steps 1 --warmup 0 \
  > "$out/start.log" 2>&1 || die "$(last "$out/start.log")"

check "tests of the CUDA backend" tests.log tests ours "$bin/test_cuda"
DCL_ALLOCATOR=plain check "tests of its memory, uncached" tests_plain.log tests \
  ours "$bin/test_cuda" --gtest_filter='DeviceMemory.*'
for file in tests/golden/*.json; do
  name=$(basename "$file" .json)
  for type in f64 f32; do
    check "parity $name $type" "parity_${name}_$type.log" last ours "$bin/parity" "$file" --device cuda --dtype "$type"
  done
done

# Each tensor has memory of its own here (DCL_ALLOCATOR=plain), so that what is read beside it is seen.
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2> /dev/null || true)
sanitized() {
  local options=(--tool "$1" --error-exitcode 9)
  shift
  # Calls that fail are checked by the engine, and some tests want them to.
  [ "${options[1]}" != memcheck ] || options+=(--report-api-errors no)
  DCL_ALLOCATOR=plain ours "$sanitizer" "${options[@]}" "$@"
}
tiny=(--device cuda --arch resnet18 --size 32 --batch 4 --queue 64 --warmup 1)
run=(ours)
under=""
says=step
if [ -n "$sanitizer" ]; then
  run=(sanitized memcheck)
  under="memcheck, "
  says=last
  check "memcheck, tests of the CUDA backend" memcheck_tests.log tests \
    sanitized memcheck "$bin/test_cuda" --gtest_filter='-*Golden*:*TrainStep*:*DescribedDevice*'
  for tool in memcheck racecheck initcheck synccheck; do
    for precision in fp32 bf16; do
      check "$tool, a tiny step, $precision" "${tool}_$precision.log" last \
        sanitized "$tool" "$bin/bench_step" "${tiny[@]}" --precision "$precision" --steps 1 --cuda-graph off
    done
  done
else
  row "compute-sanitizer" "not run" "there is none"
fi

train() {
  "${run[@]}" "$bin/densecl_train" "$scratch/scenes/JPEGImages" --device cuda --aug-device cuda --precision "$1" \
    --arch resnet18 --image-size 32 -b 4 --moco-k 64 --moco-dim 16 --neck-hidden 64 --bn-groups 2 --max-iters 6 \
    --epochs 3 -p 1 --output-dir "$scratch/run_$1"
}
# Its third step is captured, the fourth replayed.
for precision in fp32 bf16; do
  check "${under}a tiny step as a graph, $precision" "graph_$precision.log" "$says" \
    "${run[@]}" "$bin/bench_step" "${tiny[@]}" --precision "$precision" --steps 3 --cuda-graph on
done
check "scenes to train on" scenes.log last ours "$bin/densecl_scenes" "$scratch/scenes" --count 8 --seed 1
for precision in fp32 bf16; do
  check "${under}a tiny training run, $precision" "train_$precision.log" last train "$precision"
done

large=(--arch resnet50 --size 224 --batch 256 --queue 65536 --steps 20 --warmup 5)
if [ "$quick" = 0 ]; then
  torch=""
  if [ -n "$python" ] && "$python" -c 'import torch' 2> /dev/null; then torch=yes; fi
  for method in densecl mocov2; do
    for precision in bf16 fp32; do
      log=step_${method}_$precision.log
      check "step $method $precision" "$log" step \
        ours "$bin/bench_step" --device cuda --method "$method" --precision "$precision" "${large[@]}"
      [ -n "$torch" ] || continue
      for compile in "" --compile; do
        flags=(--device cuda --method "$method" --precision "${precision/fp32/f32}" "${large[@]}" ${compile:+"$compile"})
        name="  PyTorch${compile:+, compiled}"
        [ "$precision" = bf16 ] || { flags+=(--no-tf32); name+=", no TF32"; }
        theirs=$out/torch_${method}_$precision$compile.log
        if "$python" bench/torch_step.py "${flags[@]}" > "$theirs" 2>&1; then
          ratio=$(awk -v a="$(rate "$out/$log")" -v b="$(rate "$theirs")" \
            'BEGIN { if (a * b > 0) printf "; ours: %.2f times as many", a / b }')
          row "$name" measured \
            "$(rate "$theirs") pairs/s, peak on the device $(field peak_MiB "$theirs") MiB$ratio"
        else
          row "$name" "not run" "$(last "$theirs")"
        fi
      done
    done
  done
  check "where a step's time goes, op by op" profile.log step \
    ours "$bin/bench_step" --device cuda --precision bf16 "${large[@]}" --profile
  check "the dense half" dense_half.log dense_half \
    ours "$bin/bench_step" --device cuda --precision bf16 "${large[@]}" --dense-half
fi

{
  echo "commit: $(ours "$bin/densecl_train" --version | sed -n 's/^commit: //p'); $(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2> /dev/null | head -n 1)"
  echo
  echo "| check | result | |"
  echo "|---|---|---|"
  printf '%s\n' "${rows[@]}"
} | tee "$out/table.md"
exit $failed
