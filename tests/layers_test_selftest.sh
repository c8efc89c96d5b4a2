#!/usr/bin/env bash
# Plants one violation of each kind into a small sound tree and expects layers_test.sh to name it;
# plants what only looks like one and expects silence.
set -euo pipefail
checker=$(cd "$(dirname "$0")" && pwd)/layers_test.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failed=0
cases=0

sound_tree() {
  rm -rf "${tree:?}"/*
  mkdir -p "$tree"/store/{base,io,codec,pack,index,engine,session,api} "$tree"/{cli,examples/a,include/ckpt}
  printf '#include "store/base/status.h"\nint f() { return ::open("x", 0); }\n' >"$tree/store/io/posix.cc"
  printf '#include <zstd.h>\n#include "store/io/env.h"\n' >"$tree/store/codec/codec.cc"
  printf '#include <lmdb.h>\n' >"$tree/store/index/index.cc"
  printf '#include "ckpt/ckpt.h"\n' >"$tree/cli/main.cc"
  printf '#include "ckpt/ckpt.h"\n' >"$tree/include/ckpt/ckpt.hpp"
}

# $1: violation or sound, $2: file, $3: line to plant, $4: what the finding must contain, $5: where it
# is found, when that is not the file.
plant() {
  sound_tree
  mkdir -p "$tree/$(dirname "$2")"
  printf '%s\n' "$3" >>"$tree/$2"
  cases=$((cases + 1))
  local output status=0
  output=$(bash "$checker" "$tree" 2>&1) || status=$?
  if [[ $1 == sound && $status -ne 0 ]]; then
    echo "wrongly refused in $2: $3"
    echo "$output"
    failed=1
  elif [[ $1 == violation && ($status -ne 1 || $output != *"${5:-$2}"*"$4"*) ]]; then
    echo "not found (status $status) in $2: $3"
    echo "$output"
    failed=1
  fi
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

echo "$cases cases"
exit $failed
