#!/usr/bin/env bash
# What the sources read from the environment is what docs/design.md lists under "Environment", and
# programs are started where they are expected to be, and nowhere else.
set -euo pipefail
cd "${CKPT_SOURCE_DIR:?}"
fail() { echo "FAILED: $*" >&2; exit 1; }
code=$(find store cli include -name '*.cc' -o -name '*.h' -o -name '*.hpp' -o -name '*.inc')

# Names that are read: by getenv itself, or by the functions around it.
names() {
  # shellcheck disable=SC2086
  cat $code | tr '\n' ' ' |
    grep -oE '\b(secure_)?(getenv|EnvironmentVariable|EnvironmentNumber|Variable|envname)\( *"[A-Za-z_]+"' |
    grep -oE '"[^"]+"' | tr -d '"'
  echo TZ # by the C library, for local time
  # By the C library, where a program is looked for by its name.
  # shellcheck disable=SC2086
  ! grep -qE '\b(execvp|execlp|posix_spawnp)\(' $code || echo PATH
}
documented=$(sed -n '/^## Environment/,/^## /p' docs/design.md | grep -oE '`[A-Z_]+`' | tr -d '`' | sort -u)
diff <(names | sort -u) <(echo "$documented") >difference.$$ 2>&1 || {
  cat difference.$$; rm -f difference.$$
  fail "read (<), and documented in docs/design.md (>)"
}
rm -f difference.$$

# getenv with anything but a name in quotes: only inside those functions.
# shellcheck disable=SC2086
others=$(grep -nE 'getenv\(|\benviron\b|wordexp' $code | grep -vE 'getenv\("[A-Z_]+"\)|environ\);$|extern char\*\* environ' | cut -d: -f1 | sort | uniq -c |
  awk '{print $2 ":" $1}' | tr '\n' ' ')
[[ $others == "cli/run_slurm.cc:1 store/io/process.cc:1 " ]] || fail "the environment is read in other ways: $others"

# shellcheck disable=SC2086
started=$(grep -lE '\b(execv|execvp|execve|execl|execlp|posix_spawnp?|popen|system|dlopen)\(' $code | sort | tr '\n' ' ')
[[ $started == "cli/cmd_freeze.cc cli/run_child.cc store/io/command.cc " ]] || fail "programs are started in: $started"
echo passed
