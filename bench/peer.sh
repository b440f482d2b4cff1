#!/usr/bin/env bash
# The PyTorch to measure against: bench/peer.sh [PACKAGE…] prints the folder of a virtual environment with it.
#
# That is what DCL_PEER names, build/peer unless it is set; where there is none it is made, and pip installs the
# PACKAGEs, "torch torchvision" (the newest) unless given. One that is there is taken as it is.
set -euo pipefail
cd "$(dirname "$0")/.."

peer=${DCL_PEER:-build/peer}
if ! [ -x "$peer/bin/python3" ]; then
  python3 -m venv "$peer" >&2
  [ $# -gt 0 ] || set -- torch torchvision
  "$peer/bin/pip" install --quiet "$@" >&2
fi
echo "$peer"
