"""What the benchmark programs of this project say: stores of many checkpoints, of many chunks.

They are Google Benchmark programs (bench/store_bench.cc), run here for their JSON.
"""

import json
import os
import statistics
import subprocess

from measure import CommandFailed, run


def _benchmarks(program, pattern, env, repeat, notes):
    """name -> the benchmark's JSON, {} and a note when it cannot be run; medians of repetitions."""
    if not os.access(program, os.X_OK):
        notes.append(f"{os.path.basename(program)} skipped: not built (cmake -DCKPT_BUILD_BENCH=ON)")
        return {}
    command = [program, f"--benchmark_filter={pattern}", "--benchmark_format=json",
               f"--benchmark_repetitions={repeat}"]
    answer = subprocess.run(command, capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL)
    try:
        found = json.loads(answer.stdout)["benchmarks"]
    except (ValueError, KeyError):
        notes.append(f"{os.path.basename(program)} failed: {answer.stderr[-500:].strip()}")
        return {}
    by_name = {}
    for benchmark in found:
        if benchmark.get("error_occurred"):
            notes.append(f"{benchmark['name']} failed: {benchmark.get('error_message')}")
        elif benchmark.get("run_type") == "iteration":
            by_name.setdefault(benchmark["run_name"].split("/")[0], []).append(benchmark)
    return by_name


def _median(benchmarks, key):
    values = [benchmark[key] for benchmark in benchmarks if key in benchmark]
    return statistics.median(values) if values else None


def _many_checkpoints(build, work, quick, repeat, notes, found):
    # Made where syncing costs nothing, where there is such a place: only reading it is measured.
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else work
    store = os.path.join(base, f"ckpt-bench-{os.getpid()}", "many.ckpt")
    env = dict(os.environ, CKPT_BENCH_STORE=store,
               CKPT_BENCH_CHECKPOINTS="2000" if quick else "100000")
    program = os.path.join(build, "bench", "store_bench")
    try:
        said = _benchmarks(program, "BM_Store_Many", env, repeat, notes)
        found["open_ms"] = _median(said.get("BM_Store_ManyOpen", []), "real_time")
        found["list_ms"] = _median(said.get("BM_Store_ManyListLast10", []), "real_time")
        found["checkpoints"] = _median(said.get("BM_Store_ManyListLast10", []), "checkpoints")
        if said:
            command = [os.path.realpath(os.path.join(build, "ckpt-store")), "-s", store, "list",
                       "melt", "--last", "10"]
            samples = [run(command, work, env) for _ in range(max(3, repeat))]
            found["list_command_ms"] = 1000 * statistics.median(s.seconds for s in samples)
            found["list_peak_bytes"] = max(s.peak_bytes for s in samples)
    except CommandFailed as failure:
        notes.append(f"list failed: {failure}")
    finally:
        subprocess.run(["rm", "-rf", os.path.dirname(store)], check=False)


def _many_chunks(build, work, quick, notes, found):
    env = dict(os.environ, TMPDIR=work, CKPT_BENCH_CHUNKS="200000" if quick else "10000000")
    said = _benchmarks(os.path.join(build, "bench", "store_bench"), "BM_Store_Reindex", env, 1, notes)
    reindex = said.get("BM_Store_Reindex", [])
    found["chunks"] = _median(reindex, "chunks")
    found["reindex_rate"] = _median(reindex, "median_rate")
    found["reindex_mib"] = _median(reindex, "peak_mib")
    found["reindex_bytes"] = _median(reindex, "bytes_a_chunk")
    found["grown_bytes"] = _median(reindex, "grown_bytes_a_chunk")


def measure(build, work, quick, repeat, notes):
    found = {}
    print("stores of many checkpoints and of many chunks ...", flush=True)
    _many_checkpoints(build, work, quick, repeat, notes, found)
    _many_chunks(build, work, quick, notes, found)
    return found
