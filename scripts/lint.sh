#!/usr/bin/env bash
# Holds every host C++ file to .clang-format and .clang-tidy: scripts/lint.sh [format|tidy], both by default.
# The second reads the compile commands of a configured release build.
set -euo pipefail
cd "$(dirname "$0")/.."

folders=(tensor autograd nn optim data distributed densecl apps bench tests)
what=${1:-all}

if [ "$what" = all ] || [ "$what" = format ]; then
  find "${folders[@]}" \( -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' \) -print0 |
    xargs -0 clang-format-19 --dry-run --Werror
  echo "lint: format holds"
fi
if [ "$what" = all ] || [ "$what" = tidy ]; then
  # Clang cannot read GCC's precompiled header: each file is checked with what it includes itself.
  mkdir -p build/lint
  sed -E 's/-Winvalid-pch -include [^ ]+//' build/release/compile_commands.json > build/lint/compile_commands.json
  # Sources of the tree only, not what CMake made in the build folder.
  run-clang-tidy-19 -p build/lint -quiet -j "$(nproc)" "^$PWD/($(IFS='|'; echo "${folders[*]}"))/" \
    > build/lint/clang-tidy.log 2>&1 || {
    grep -E '(warning|error): ' -A 6 build/lint/clang-tidy.log | head -200
    echo "lint: clang-tidy found the above (whole log: build/lint/clang-tidy.log)" >&2
    exit 1
  }
  echo "lint: clang-tidy holds"
fi
