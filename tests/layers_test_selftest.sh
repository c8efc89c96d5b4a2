#!/usr/bin/env bash
# Plants one violation of each kind into a small sound tree and expects layers_test.sh to name each; plants
# what only looks like one into another and expects silence.
set -euo pipefail
checker=$(cd "$(dirname "$0")" && pwd)/layers_test.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cases=0
violations=()

for tree in sound violation; do
  mkdir -p "$work/$tree"/store/{base,io,codec,pack,index,engine,session,api} "$work/$tree"/{cli,examples/a,include/ckpt}
  cd "$work/$tree"
  printf '#include "store/base/status.h"\nint f() { return ::open("x", 0); }\n' >store/io/posix.cc
  printf '#include <zstd.h>\n#include "store/io/env.h"\n' >store/codec/codec.cc
  printf '#include <lmdb.h>\n' >store/index/index.cc
  printf '#include "ckpt/ckpt.h"\n' >cli/main.cc
  printf '#include "ckpt/ckpt.h"\n' >include/ckpt/ckpt.hpp
done

# $1: violation or sound, $2: file like store/io/x.cc, of which each case has its own, $3: line to plant,
# $4: what the finding must contain, $5: where it is found, when that is not the file.
plant() {
  cases=$((cases + 1))
  local file=${2%.*}$cases.${2##*.}
  mkdir -p "$work/$1/$(dirname "$file")"
  printf '%s\n' "$3" >"$work/$1/$file"
  [[ $1 == sound ]] || violations+=("${5:-$file}"$'\t'"$4"$'\t'"$3")
}

plant sound store/base/x.cc 'int x;'
plant violation store/io/x.cc '#include "store/codec/hash.h"' 'may not include'
plant violation store/base/x.h '#include "store/api/api.h"' 'may not include'
plant violation store/pack/x.cc '  #  include "store/engine/engine.h"' 'may not include'
plant violation store/pack/x.cc '#include "store/packs/engine.h"' 'no layer'
plant violation store/pack/x.cc '#include "tests/support/x.h"' 'nothing outside'
plant violation store/pack/x.cc '#include "x.h"' 'from the top'
plant violation store/util/x.cc 'int x;' 'is no layer' store/util
plant violation cli/x.cc '#include "store/base/status.h"' 'include/ckpt only'
plant violation examples/a/x.cc '#include "../../store/base/status.h"' 'include/ckpt only'
plant violation include/ckpt/x.h '#include "store/base/status.h"' 'include/ckpt only'
plant violation include/ckpt/x.h '#include "other.h"' 'stands alone'
plant violation store/engine/x.cc '#include <lmdb.h>' 'store/index'
plant violation store/pack/x.cc '#include <zstd.h>' 'store/codec'
plant violation store/pack/x.cc '#include <xxhash.h>' 'store/codec'
plant sound store/io/x.cc '#include <xxhash.h>'
plant violation cli/x.cc '#include <lmdb.h>' 'not outside store'

for call in 'open(path, O_RDONLY);' '::fsync(fd);' 'std::rename(a, b);' 'if (pwrite(fd, p, n, 0) < 0)' 'x = unlink (p);' \
  'flock(fd, LOCK_EX);' 'clock_gettime(CLOCK_REALTIME, &t);' 'getrandom(p, n, 0);' 'auto t = std::time(nullptr);' \
  'std::ofstream out(path);' 'std::filesystem::remove(p);' 'auto t = std::chrono::steady_clock::now();' \
  'std::this_thread::sleep_for(x);' 'std::random_device device;' 'fprintf(stderr, "x");' 'std::cerr << 1;' 'exit(1);' \
  'good(); mkdir(p, 0700);' '!access(p, 0)'; do
  plant violation store/engine/x.cc "$call" 'door'
done
plant violation store/index/x.cc 'mmap(nullptr, n, 0, 0, fd, 0);' 'door'
plant violation store/io/x.cc 'printf("x");' 'door'
plant violation store/base/x.cc 'fprintf(f, "x"); open(p, 0);' 'open'
for innocent in 'dir->open(path);' 'file.read(x);' 'Reopen(x);' 'reader->time(x);' '// open(path) is not called here' \
  'message = "open(path) failed: printf(x)";' 'snprintf(buffer, n, "x");' 'status = file->Sync();' 'RandomId();' 'my::open(x);' \
  'is_open(x);' 'int time = 3;' ' * write(x) in a block comment' '/* unlink(x) */ int y;'; do
  plant sound store/engine/x.cc "$innocent"
done
plant sound store/engine/x.h 'int time() const { return time_; }'
plant sound store/base/check2.cc 'fprintf(stderr, "x"); abort();'
plant sound store/session/x.cc 'write(event_fd, &one, 8);'

failed=0
status=0
bash "$checker" "$work/sound" || status=$?
((status == 0)) || { echo "what is sound was refused"; failed=1; }
status=0
bash "$checker" "$work/violation" >"$work/found" 2>&1 || status=$?
((status == 1)) || { echo "status $status with violations"; failed=1; }
for case in "${violations[@]}"; do
  IFS=$'\t' read -r place wanted line <<<"$case"
  grep -F "$place" "$work/found" | grep -qF "$wanted" || { echo "not found in $place: $line"; failed=1; }
done
# Nothing is found in what is sound there, either.
! grep -E "^(store/io/posix|store/codec/codec|store/index/index|cli/main|include/ckpt/ckpt)\." "$work/found" || failed=1
((failed == 0)) || cat "$work/found"
echo "$cases cases"
exit $failed
