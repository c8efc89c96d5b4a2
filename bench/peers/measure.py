"""Running one command and measuring it; medians of such runs.

Seconds are wall clock, from before the program starts until it has ended. Memory is ru_maxrss of
the process and of those it waited for, the greatest of them; what this script itself occupies
(some 20 MiB) is the least that can be seen.
"""

import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field


class CommandFailed(Exception):
    """A command ended with another status than 0; says which, and its last lines."""


@dataclass
class Sample:
    seconds: float
    peak_bytes: int


@dataclass
class Series:
    """The samples of one phase of one tool, a repetition each."""

    samples: list = field(default_factory=list)

    def seconds(self):
        return statistics.median(s.seconds for s in self.samples)

    def range(self):
        seconds = [s.seconds for s in self.samples]
        return min(seconds), max(seconds)

    def peak_bytes(self):
        return max(s.peak_bytes for s in self.samples)


def run(command, cwd, env):
    """Runs the command; its output is shown only if it fails."""
    with tempfile.TemporaryFile() as output:
        begin = time.monotonic()
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(max(0, output.tell() - 2000))
            text = output.read().decode(errors="replace")
            raise CommandFailed(f"{' '.join(command)}: status {process.returncode}\n{text}")
    return Sample(seconds, usage.ru_maxrss * 1024)


def tree_files(folder):
    for path, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            full = os.path.join(path, name)
            if not os.path.islink(full):
                yield full


def tree_bytes(folder):
    """(bytes of all files by their length, bytes they take from the disk)"""
    length = taken = 0
    for name in tree_files(folder):
        stat = os.lstat(name)
        length += stat.st_size
        taken += stat.st_blocks * 512
    return length, taken


def warm(folder):
    """Brings every file of a folder into the page cache, so that reading costs all the same."""
    buffer = bytearray(1 << 20)
    for name in tree_files(folder):
        with open(name, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
