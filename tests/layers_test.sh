#!/usr/bin/env bash
# layers_test.sh SOURCE_DIR: the architecture's rules that a compiler does not see.
#
#  1. A layer of store/ includes only itself and the layers before it; include/ckpt includes nothing
#     of store/; cli, bindings and examples include nothing of store/ either.
#  2. lmdb.h is included by store/index only; zstd.h by store/codec; xxhash.h by store/codec, and by
#     store/io for the host's id.
#  3. System calls that touch files, locks, time or randomness, and their C++ disguises, are made in
#     store/io only, so that a test can replace the world. What a layer may use besides is in
#     `exempt` below, each with its reason.
#  4. The library never prints and never exits (I10).
#
# A finding is printed as FILE:LINE: rule: text; the exit status is 1 when there is one. Comments and
# string literals are not looked at. layers_test_selftest.sh shows that each rule is really kept.
set -euo pipefail
cd "$1"

layers=(base io codec pack index manifest engine session api)
doors='open|openat|openat2|creat|fopen|fdopen|freopen|opendir|fdopendir|readdir|scandir|nftw|read|pread|preadv|readv'
doors+='|write|pwrite|pwritev|writev|copy_file_range|sendfile|splice|lseek|fsync|fdatasync|sync_file_range|syncfs|sync'
doors+='|truncate|ftruncate|fallocate|posix_fallocate|mmap|munmap|msync|unlink|unlinkat|remove|rename|renameat|renameat2'
doors+='|link|linkat|symlink|symlinkat|readlink|readlinkat|mkdir|mkdirat|rmdir|mkstemp|mkdtemp|mkostemp|tmpfile'
doors+='|stat|fstat|lstat|fstatat|statx|statfs|fstatfs|statvfs|fstatvfs|access|faccessat|realpath|getcwd|chdir'
doors+='|chmod|fchmod|fchmodat|chown|fchown|lchown|fchownat|utimes|utimensat|futimens|umask|ioctl|fcntl|flock|lockf'
doors+='|getxattr|fgetxattr|lgetxattr|setxattr|fsetxattr|lsetxattr|listxattr|flistxattr|llistxattr'
doors+='|clock_gettime|clock_nanosleep|gettimeofday|nanosleep|usleep|sleep|time|getrandom|getentropy|rand|srand|random'
doors+='|gethostname|gethostid|uname|getuid|geteuid|getpid|syscall|secure_getenv|getenv'
disguises='std::filesystem|std::[io]?fstream|std::random_device|std::this_thread::sleep|_clock::now'
noise='printf|fprintf|vprintf|vfprintf|puts|fputs|putchar|perror|exit|_exit|quick_exit|abort|terminate|system|popen'
streams='std::cout|std::cerr|std::clog|std::cin'

# layer -> functions it may call, as a regular expression.
declare -A exempt=(
  [base]='fprintf|abort'       # check.cc: the last words of a broken invariant
  [index]='getpid|getenv'      # LMDB: an environment is of one process; where the index may lie
  [session]='write|read|getpid|_exit|getenv|syscall'  # handlers: eventfd, the forked child, I9
)

findings=0
finding() {
  printf '%s\n' "$1"
  findings=$((findings + 1))
}

# The file without comments (of one line), string literals and accessors, as "LINE: text".
code_of() {
  sed -E 's/"([^"\\]|\\.)*"/""/g; s://.*$::; s:/\*[^*]*\*+/::g; s:^ *\*.*$::; s/[a-z_]+\(\) const//' "$1" |
    grep -n . | sed "s/:/: /" || true
}

includes_of() { grep -nE '^[[:space:]]*#[[:space:]]*include' "$1" || true; }

sources_in() {
  local folder
  for folder in "$@"; do
    [[ -d $folder ]] || continue
    find "$folder" -type f \( -name '*.cc' -o -name '*.h' -o -name '*.hpp' -o -name '*.c' -o -name '*.cpp' \)
  done | sort
}

rank_of() {
  local i
  for i in "${!layers[@]}"; do
    [[ ${layers[i]} == "$1" ]] && { echo "$i"; return; }
  done
  echo -1
}

check_include() {  # file layer rank line-number include-text
  local file=$1 layer=$2 rank=$3 where=$1:$4 text=$5 other
  if [[ $text =~ \"store/([a-z_]+)/ ]]; then
    other=$(rank_of "${BASH_REMATCH[1]}")
    if ((other < 0)); then
      finding "$where: layer: there is no layer ${BASH_REMATCH[1]}: $text"
    elif ((other > rank)); then
      finding "$where: layer: store/$layer may not include store/${BASH_REMATCH[1]}: $text"
    fi
  elif [[ $text =~ \"(tests|cli|bench|bindings|examples)/ || $text =~ \"\.\./ ]]; then
    finding "$where: layer: the library includes nothing outside store/ and include/: $text"
  elif [[ $text =~ \"[^/\"]+\" ]]; then
    finding "$where: layer: name the file from the top, as \"store/$layer/...\": $text"
  fi
  if [[ $text =~ [\"\<]lmdb\.h && $layer != index ]]; then
    finding "$where: owner: lmdb.h belongs to store/index: $text"
  fi
  if [[ $text =~ [\"\<](zstd|zdict|zstd_errors)\.h && $layer != codec ]]; then
    finding "$where: owner: zstd.h belongs to store/codec: $text"
  fi
  if [[ $text =~ [\"\<]xxh(ash|3|_x86dispatch)\.h && $layer != codec && $layer != io ]]; then
    finding "$where: owner: xxhash.h belongs to store/codec: $text"
  fi
}

check_calls() {  # file layer
  local file=$1 layer=$2 allowed=${exempt[$2]:-} number hit name
  # A call: the name, not a member, not of another namespace than std or the global one.
  local call='(^|[^[:alnum:]_.>:])(std::|::)?' names="$doors|$noise"
  [[ $layer == io ]] && names=$noise
  while IFS=: read -r number hit; do
    # What is before and after the names goes, whatever is left is one name a line.
    while read -r name; do
      [[ -n $allowed && $name =~ ^($allowed)$ ]] && continue
      finding "$file:$number: door: $name is for store/io: ${hit#"${hit%%[![:space:]]*}"}"
    done < <(grep -oE "$call($names) *\(" <<<"$hit" | sed -E 's/ *\($//; s/^.*[^[:alnum:]_]//')
  done < <(code_of "$file" | grep -E "$call($names) *\(" || true)
  local hidden="$disguises|$streams"
  [[ $layer == io ]] && hidden=$streams
  while IFS=: read -r number hit; do
    finding "$file:$number: door: for store/io only: ${hit#"${hit%%[![:space:]]*}"}"
  done < <(code_of "$file" | grep -E "$hidden" || true)
}

for layer in "${layers[@]}"; do
  rank=$(rank_of "$layer")
  for file in $(sources_in "store/$layer"); do
    while IFS=: read -r number text; do
      check_include "$file" "$layer" "$rank" "$number" "$text"
    done < <(includes_of "$file")
    check_calls "$file" "$layer"
  done
done
for folder in store/*/; do
  folder=${folder%/}
  (($(rank_of "${folder#store/}") >= 0)) || finding "$folder: layer: a folder that is no layer"
done
for file in $(sources_in cli bindings examples include); do
  while IFS=: read -r number text; do
    [[ $text =~ [\"\<](\.\./)*store/ ]] && finding "$file:$number: layer: uses include/ckpt only: $text"
    [[ $text =~ [\"\<](lmdb|zstd|xxhash)\.h ]] && finding "$file:$number: owner: not outside store/: $text"
  done < <(includes_of "$file")
done
for file in $(sources_in include); do
  while IFS=: read -r number text; do
    [[ $text =~ \" && ! $text =~ \"ckpt/ckpt\.h\" ]] && finding "$file:$number: layer: a public header stands alone: $text"
  done < <(includes_of "$file")
done

files=$(sources_in store cli bindings examples include | wc -l)
if ((findings > 0)); then
  echo "$findings violations of the layers in $files files" >&2
  exit 1
fi
if ((files == 0)); then
  echo "no sources under $PWD" >&2
  exit 1
fi
echo "layers are kept in $files files"
