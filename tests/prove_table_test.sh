#!/usr/bin/env bash
# The table of scripts/prove: what counts as a failure, and how it replaces an older one in a document.
set -euo pipefail
source=${1:?usage: prove_table_test.sh SOURCE_FOLDER}
# shellcheck source=scripts/prove_table.sh
source "$source/scripts/prove_table.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; cat "$work/doc" >&2; exit 1; }

# expect STATUS NAME MUST TRIED WRONG
expect() {
  status=0
  row "$2" "$3" "$4" "$5" 1
  ((status == $1)) || fail "status $status from $3 that must be, $4 tried, violations: $5"
}
expect 0 holds 100 100 0
expect 1 "less than must be" 100 99 0
expect 1 nothing 0 0 0
expect 1 "no figure at all" 1 "" 0
expect 1 violated 1 1 "see a log"

printf '%s\n' before '<!-- scripts/prove -->' '<!-- end -->' after >"$work/doc"
table=() status=0
row "the index's file" 1 10 0 5 "9 crashed"
row 'a [b] $c *' 1 20 0 5
write_table "$work/doc" 1
row_count() { grep -c '^| [^p]' "$work/doc"; }
(($(row_count) == 2)) || fail "two rows"
table=()
row "the index's file" 1 11 0 5 "12 crashed"
for _ in 1 2; do write_table "$work/doc" 1; done
(($(row_count) == 2)) || fail "a row written again is not one row"
grep -qF "| the index's file | 1 | 11 (12 crashed) | 0 | 5 |" "$work/doc" || fail "the new row is not there"
grep -qF '| a [b] $c * | 1 | 20 | 0 | 5 |' "$work/doc" || fail "the other row is gone"
write_table "$work/doc" 0
(($(row_count) == 1)) || fail "a table of all parts keeps what they no longer have"
[[ $(head -n 1 "$work/doc") == before && $(tail -n 1 "$work/doc") == after ]] || fail "the rest of the document"
echo passed
