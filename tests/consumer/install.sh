#!/usr/bin/env bash
# install.sh CMAKE BUILD_DIR PREFIX: installs afresh, without a DESTDIR from outside.
set -euo pipefail
unset DESTDIR
rm -rf "$3"
"$1" --install "$2" --prefix "$3"
