# shellcheck shell=bash
# What scripts/test and scripts/quickstart share: messages, Debian packages, building. Sourced.
#
# Packages are looked up with dpkg alone, so nothing is fetched, and no network needed, when nothing
# is missing. Before anything is installed it is named; where we may not install, the command to run
# is printed and the script ends with status 1.

# shellcheck disable=SC2034  # used by those who source this
packages_build=(cmake g++ ninja-build pkg-config liblmdb-dev libxxhash-dev libzstd-dev libcli11-dev
  nlohmann-json3-dev)
packages_test=(libgtest-dev librapidcheck-dev)
packages_all=(attr btrfs-progs ccache clang clang-format clang-tidy libbenchmark-dev lammps munge python3-xxhash
  python3-zstandard rsync slurm-wlm spin strace xfsprogs)
packages_fuzz=(clang libclang-rt-14-dev)

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=$(nproc)
if [[ -t 1 ]]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi

say() { printf '%s\n' "${bold}==> $*${plain}"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

is_installed() { [[ $(dpkg-query -W -f='${db:Status-Abbrev}' "$1" 2>/dev/null) == ii* ]]; }

# Words that make us root, into `as_root`; fails when nothing does.
find_root() {
  as_root=()
  [[ $(id -u) -eq 0 ]] && return 0
  command -v sudo >/dev/null || return 1
  as_root=(sudo)
  sudo -n true 2>/dev/null && return 0
  # sudo may ask for a password where somebody can type one.
  [[ -t 0 && -t 2 ]] && sudo -v
}

apt_get() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q \
    -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

# ensure_packages PACKAGE...: installs those that are missing.
ensure_packages() {
  local missing=() package
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "Not a Debian system: taking it that these are installed: $*"
    return 0
  fi
  for package in "$@"; do
    is_installed "$package" || missing+=("$package")
  done
  ((${#missing[@]} > 0)) || return 0

  local command="apt-get install --no-install-recommends ${missing[*]}"
  say "Debian packages that are missing: ${missing[*]}"
  if ! find_root; then
    echo "They need root's rights, which this user has not. As root, run:" >&2
    echo "  apt-get update && $command" >&2
    exit 1
  fi
  # Bare machines come without package lists, old ones with lists that no longer hold.
  local attempt
  for attempt in 1 2 3; do
    if ((attempt > 1)) || ! apt_get -s install --no-install-recommends "${missing[@]}" >/dev/null 2>&1; then
      say "Fetching the package lists (apt-get update)"
      apt_get update >/dev/null || true
    fi
    say "Installing them, and what they depend on: ${as_root[*]} $command"
    if apt_get install -y --no-install-recommends "${missing[@]}" >"$install_log" 2>&1; then
      say "Installed $(grep -c '^Setting up ' "$install_log") packages"
      return 0
    fi
    tail -n 15 "$install_log" >&2
    ((attempt < 3)) && sleep $((attempt * 5))
  done
  die "installing failed three times. To do it by hand, as root: apt-get update && $command"
}
install_log=$(mktemp "${TMPDIR:-/tmp}/ckpt-install.XXXXXX")
trap 'rm -f "$install_log"' EXIT

# configure BUILD_DIR OPTION...: afresh when the folder was made for another place or generator.
configure() {
  local build=$1 generator="Unix Makefiles" fresh=()
  shift
  command -v ninja >/dev/null && generator=Ninja
  if [[ -e $build/CMakeCache.txt ]] &&
    ! { grep -qxF "CMAKE_GENERATOR:INTERNAL=$generator" "$build/CMakeCache.txt" &&
      grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$source_dir" "$build/CMakeCache.txt" &&
      grep -qxF "CMAKE_CACHEFILE_DIR:INTERNAL=$(cd "$build" && pwd -P)" "$build/CMakeCache.txt"; }; then
    fresh=(--fresh)
  fi
  mkdir -p "$build"
  cmake "${fresh[@]}" -S "$source_dir" -B "$build" -G "$generator" "$@" >"$build/configure.log" 2>&1 ||
    { cat "$build/configure.log"; return 1; }
}

# ccache, where there is one, learns of included files from the compiler; else it preprocesses every file once
# more, which a machine that has compiled nothing before pays for in vain.
export CCACHE_DEPEND=${CCACHE_DEPEND:-1}

# build BUILD_DIR [TARGET...]: shows warnings and errors; progress only on a terminal.
build() {
  local build=$1
  shift
  if [[ -t 1 ]]; then
    cmake --build "$build" -j "$jobs" ${1:+--target "$@"}
  else
    cmake --build "$build" -j "$jobs" ${1:+--target "$@"} >"$build/build.log" 2>&1 ||
      { grep -vE '^\[[0-9]+/[0-9]+\]' "$build/build.log" | tail -n 200; return 1; }
    grep -E 'warning:' "$build/build.log" | sort -u | head -n 50 || true
  fi
}
