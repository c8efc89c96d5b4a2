# shellcheck shell=bash
# The table of figures of scripts/prove, and how it gets into a document. Sourced.
#
# A row's name never holds a number: it is how the row is found again when the table is written anew.

table=() status=0

# row NAME MUST TRIED WRONG SECONDS [MORE]: MUST is the least that has to be tried, WRONG "0" or what
# did not hold; MORE comes after the number tried. Nothing tried, or less than must be, proves nothing.
row() {
  local tried=${3:-0} wrong=$4
  if [[ $wrong == 0 ]] && ((tried < $2 || tried == 0)); then wrong="too few"; fi
  [[ $wrong == 0 ]] || status=1
  table+=("| $1 | $2 | $tried${6:+ ($6)} | $wrong | $5 |")
}

print_table() {
  echo "| proof | must | tried | violations | seconds |"
  echo "|---|---|---|---|---|"
  printf '%s\n' "$@"
}

# name_of ROW: what is in its first cell.
name_of() {
  local rest=${1#| }
  printf '%s' "${rest%% |*}"
}

# write_table DOCUMENT KEEP: the table in the place of the one between the markers. KEEP=1: rows that
# are not in the table stay where they are.
write_table() {
  local doc=$1 keep=$2 line name
  local -A fresh=()
  local -a merged=()
  for line in "${table[@]}"; do fresh[$(name_of "$line")]=$line; done
  if ((keep)); then
    while IFS= read -r line; do
      name=$(name_of "$line")
      # Written already (empty), or not in the table (unset).
      [[ -z ${fresh[$name]-new} ]] || merged+=("${fresh[$name]-$line}")
      fresh[$name]=''
    done < <(sed -n '/^<!-- scripts\/prove -->$/,/^<!-- end -->$/p' "$doc" | grep '^| ' | grep -v '^| proof ')
  fi
  for line in "${table[@]}"; do
    [[ -z ${fresh[$(name_of "$line")]} ]] || merged+=("$line")
  done
  {
    sed '/^<!-- scripts\/prove -->$/q' "$doc"
    print_table "${merged[@]}"
    sed -n '/^<!-- end -->$/,$p' "$doc"
  } >"$doc.new"
  mv "$doc.new" "$doc"
}
