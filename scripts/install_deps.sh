#!/usr/bin/env bash
# Installs the Debian packages that a build needs (Debian 12 or later, or a derivative): as root, else with sudo.
# Says what it installs; does nothing, and asks for nothing, when everything is there.
#
#   scripts/install_deps.sh             compiler, CMake, libraries, test libraries
#   scripts/install_deps.sh --lint      also what the format and lint checks of .ci/run need
#   scripts/install_deps.sh --fuzz      also what scripts/fuzz.sh needs
#   scripts/install_deps.sh --emulate   also what scripts/emulate.sh needs
set -euo pipefail

packages=(
  g++ cmake ninja-build ccache git ca-certificates
  libfmt-dev nlohmann-json3-dev libcli11-dev libtomlplusplus-dev
  libeigen3-dev libopenblas-pthread-dev libhwy-dev
  libjpeg-dev libpng-dev zlib1g-dev liblmdb-dev libcairo2-dev pkgconf fonts-dejavu-core
  libgtest-dev libbenchmark-dev libssl-dev
)
case "${1:-}" in
  "") ;;
  --lint) packages+=(clang-format-19 clang-tidy-19 python3) ;;
  --fuzz) packages+=(clang-19 libclang-rt-19-dev) ;;
  --emulate) packages+=(qemu-user) ;;
  *)
    echo "install_deps.sh: unknown argument '$1', expected --lint, --fuzz, --emulate or none" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query > /dev/null; then
  echo "install_deps.sh: this is not a Debian system; install the counterparts of: ${packages[*]}" >&2
  exit 1
fi
# Names of all installed packages, and of what they provide (libjpeg-dev may be a virtual package).
installed=$(dpkg-query --show --showformat '${db:Status-Status} ${Package}, ${Provides}\n' |
  sed -n 's/^installed //p' | tr ',' '\n' | sed 's/(.*//; s/ //g')
missing=()
for package in "${packages[@]}"; do
  grep -qxF "$package" <<< "$installed" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo > /dev/null; then
    echo "install_deps.sh: not root and no sudo; as root, run: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "Installing Debian packages: ${missing[*]}"
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
