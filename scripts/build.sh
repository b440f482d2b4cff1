#!/usr/bin/env bash
# Configures and builds a preset of CMakePresets.json: scripts/build.sh [PRESET [TARGET…]], release by default.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-release}
shift || true
cmake --preset "$preset"
cmake --build --preset "$preset" --parallel "$(nproc)" ${1:+--target "$@"}
