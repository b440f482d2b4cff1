#!/usr/bin/env bash
# Installs what is missing, builds and runs every test: scripts/test.sh [PRESET] [CTEST ARGUMENT…]
#
#   scripts/test.sh                   the release build
#   scripts/test.sh cuda              with the CUDA backend; without a GPU its tests are reported as skipped
#   scripts/test.sh asan              under the address and undefined-behaviour sanitizers
#   scripts/test.sh release -R conv   only the tests whose names match
set -euo pipefail
cd "$(dirname "$0")/.."

preset=release
if [ $# -gt 0 ] && [[ $1 != -* ]]; then
  preset=$1
  shift
fi
scripts/install_deps.sh
scripts/build.sh "$preset"
exec ctest --preset "$preset" --parallel "$(nproc)" "$@"
