#!/usr/bin/env bash
# The recipes compile as they are printed, without a warning: in README.md, ckpt.hpp, ckpt.h and
# docs/sessions.md.
set -euo pipefail
cd "$CKPT_SOURCE_DIR"
cc=${CC:-cc} cxx=${CXX:-c++}
for compiler in "$cc" "$cxx"; do
  command -v "$compiler" >/dev/null || { echo "skipped: no $compiler on this machine"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
warnings=(-Wall -Wextra -Werror -fsyntax-only -I include)

# printed FILE FIRST LAST: the lines from FIRST to the next LAST, without what makes them a comment.
printed() {
  sed -n "/$2/,/$3/p" "$1" | sed -E 's/^( \*|\/\/)   //' >"$work/printed"
  grep -q "$3" "$work/printed" || { echo "$1 has no recipe from '$2' to '$3' any more"; exit 1; }
  cat "$work/printed"
}
compiles_cxx() {  # NAME, the recipe on standard input
  cat "$work/before.cc" - >"$work/$1.cc"
  "$cxx" -std=c++17 "${warnings[@]}" "$work/$1.cc" || { echo "as printed in $1"; exit 1; }
}
compiles_c() {
  cat "$work/before.c" - >"$work/$1.c"
  "$cc" -std=c99 "${warnings[@]}" "$work/$1.c" || { echo "as printed in $1"; exit 1; }
}

# What the recipes leave to the reader. MPI: as much of it as is used.
cat >"$work/before.cc" <<'END_BEFORE'
#include <ckpt/ckpt.hpp>
#include <vector>
using Field = std::vector<double>;
void Initialise(Field* T);
void Advance(Field* T);
void Advance(const Field& T, Field* Tnew);
std::string SaveRng();
void LoadRng(const std::string& bytes);
extern const std::int64_t last;
extern const std::size_t n;
extern const int time_to_save;
enum { MPI_INT, MPI_MAX, MPI_COMM_WORLD };
#define MPI_IN_PLACE nullptr
int MPI_Allreduce(const void* from, void* to, int count, int type, int operation, int group);
END_BEFORE
cat >"$work/before.c" <<'END_BEFORE'
#include <ckpt/ckpt.h>
#include <stdio.h>
void initialise(double* T);
void advance(double** T, double** Tnew);
END_BEFORE

session='auto session = ckpt::Session::Open' finish='return session.Finish'
{ echo 'int Run(Field T, Field Tnew) {'; printed README.md "$session" "$finish"; echo '}'; } |
  compiles_cxx README
{ echo 'int Run(Field T, Field Tnew) {'; printed include/ckpt/ckpt.hpp "$session" "$finish"; echo '}'; } |
  compiles_cxx ckpt.hpp-session
{ echo 'void Run() {'; printed include/ckpt/ckpt.hpp 'ckpt::Store store =' 'save.End()'; echo '} }'; } |
  compiles_cxx ckpt.hpp-store
{
  echo 'void Run(ckpt::Session session, Field T, std::int64_t done) { while (true) {'
  printed docs/sessions.md 'int told\[2\]' 'all stop at one step'
  echo '} }'
} | compiles_cxx sessions.md

# In a C comment there are no others, and "..." is an end of the reader's choice.
c_recipe() { printed include/ckpt/ckpt.h "$1" "$2" | sed -E 's/;  +[a-z].*/;/; s/ \.\.\.$/ return 1;/'; }
{ echo 'int run(void) {'; c_recipe 'ckpt_store \*store;' 'ckpt_store_close(store);'; echo 'return 0; }'; } |
  compiles_c ckpt.h-store
{
  echo 'int run(double* T, double* Tnew, int64_t last, uint64_t n) {'
  c_recipe 'ckpt_session_options options =' 'return ckpt_session_finish'
  echo '}'
} | compiles_c ckpt.h-session
