#!/usr/bin/env bash
# Fuzzes every parser of files that a user may have from elsewhere: scripts/fuzz.sh [SECONDS [TARGET…]]
#
#   scripts/fuzz.sh              each target of tests/fuzz for 60 seconds, two at a time
#   scripts/fuzz.sh 600 tar      one for ten minutes
#
# The inputs to begin with are made by the targets themselves and the seed of the changes is fixed. A finding (a
# property that does not hold, an exception that is no Error, a sanitizer's report, a leak, more than 2 seconds or
# 1 GiB) leaves its input in build/fuzz/findings/TARGET/ and makes the exit status 1.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
shift || true
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { sed -n '2,9p' "$0" | cut -c3- >&2; exit 2; }
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for source in tests/fuzz/*_fuzz.cpp; do
    name=${source##*/}
    targets+=("${name%_fuzz.cpp}")
  done
fi

build=build/fuzz
scripts/install_deps.sh --fuzz
scripts/build.sh fuzz "${targets[@]/%/_fuzz}"
# What targets write, also those that are ended; in memory where that can be, since packs are synced.
scratch=$(mktemp -d -p /dev/shm 2> /dev/null || mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# A fixed number of pictures, of entries, of lines: what was found before does not count, so that each run is the same.
fuzz() {
  local program=$build/bin/$1_fuzz corpus=$build/corpus/$1 findings=$build/findings/$1 log=$build/$1.log status=0
  rm -rf "$corpus" "$findings"
  mkdir -p "$corpus" "$findings"
  TMPDIR=$scratch "$program" --write-seeds "$corpus"
  TMPDIR=$scratch "$program" "$corpus" -seed=1 -max_total_time="$seconds" -timeout=2 -rss_limit_mb=1024 \
    -malloc_limit_mb=256 -print_final_stats=1 -artifact_prefix="$findings/" > "$log" 2>&1 || status=$?
  local executions coverage
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  coverage=$(sed -nE 's/.* cov: ([0-9]+).*/\1/p' "$log" | tail -1)
  if [ "$status" -eq 0 ]; then
    printf 'fuzz: %-12s %9s executions, %5s edges covered\n' "$1" "$executions" "$coverage"
  else
    grep -m 1 -E '^does not hold|ERROR: |runtime error: ' "$log" || tail -5 "$log"
    printf 'fuzz: %-12s FOUND %s (log: %s)\n' "$1" "$(find "$findings" -type f | head -1)" "$log"
  fi
  return "$status"
}

status=0
running=0
for target in "${targets[@]}"; do
  if [ "$running" -eq 2 ]; then
    wait -n || status=1
    running=1
  fi
  fuzz "$target" &
  running=$((running + 1))
done
for ((; running > 0; --running)); do wait -n || status=1; done
exit "$status"
