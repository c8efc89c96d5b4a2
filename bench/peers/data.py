"""What is saved: (a) restart files of a LAMMPS run, (b) incompressible bytes, (c) many small files.

Each set is a folder `source` and a list of phases; a phase first changes the folder (not timed),
then every tool saves it. `tree`: many files; `series`: the sum over all phases is what counts. All bytes follow from fixed seeds, or from what is installed (a, c).
"""

import os
import random
import shutil
import subprocess

from measure import CommandFailed

BLOCK = 1 << 20
HERE = os.path.dirname(os.path.abspath(__file__))
LAMMPS_EXAMPLE = os.path.join(HERE, "..", "..", "examples", "lammps")


def _fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


def _touch_all(folder):
    for path, _, files in os.walk(folder):
        for name in files:
            os.utime(os.path.join(path, name))


class Incompressible:
    """One file of random bytes. A changed part is one contiguous run of bytes, not aligned."""

    key, title = "b", "incompressible file"
    tree = series = False

    def __init__(self, work, bytes_total):
        self.source = os.path.join(work, "data-b")
        self.bytes = bytes_total
        self.file = os.path.join(self.source, "state.bin")
        self.phases = [
            ("first save", self._first),
            ("unchanged (stat only)", lambda: None),
            ("0 % changed, read again", lambda: _touch_all(self.source)),
            ("1 % changed", lambda: self._change(0.371, 0.01, 1)),
            ("10 % changed", lambda: self._change(0.523, 0.10, 2)),
            ("100 % changed", lambda: self._change(0.0, 1.0, 3)),
        ]

    def describe(self):
        return f"(b) one file of {self.bytes / 2**20:.0f} MiB, incompressible"

    def prepare(self):
        return None

    def _first(self):
        _fresh(self.source)
        with open(self.file, "wb") as file:
            file.truncate(self.bytes)
        self._change(0.0, 1.0, 0)

    def _change(self, begin_share, share, seed):
        begin = int(begin_share * self.bytes)
        end = min(self.bytes, begin + int(share * self.bytes))
        generator = random.Random(f"ckpt-store {seed}")
        with open(self.file, "r+b") as file:
            file.seek(begin)
            for at in range(begin, end, BLOCK):
                file.write(generator.randbytes(min(BLOCK, end - at)))


class SourceTree:
    """Regular files of this machine in order of their names, copied, until there are enough."""

    key, title = "c", "source tree"
    tree, series = True, False
    roots = ("/usr/include", "/usr/lib/python3.11", "/usr/lib/python3", "/usr/share/doc")

    def __init__(self, work, files_max, bytes_max):
        self.source = os.path.join(work, "data-c")
        self.files_max = files_max
        self.bytes_max = bytes_max
        self.files = self.bytes = 0
        self.phases = [
            ("first save", lambda: None),
            ("unchanged (stat only)", lambda: None),
            ("0 % changed, read again", lambda: _touch_all(self.source)),
            ("1 file in 100 changed", self._change_some),
        ]

    def describe(self):
        return f"(c) {self.files} small files, {self.bytes / 2**20:.0f} MiB, of {', '.join(self.roots)}"

    def prepare(self):
        """Before each repetition: the tree as it was at the first."""
        _fresh(self.source)
        self.files = self.bytes = 0
        for root in self.roots:
            self._copy(root)
        return None if self.files else "none of the folders it is made of is on this machine"

    def _copy(self, root):
        for path, folders, files in os.walk(root):
            folders.sort()
            for name in sorted(files):
                full = os.path.join(path, name)
                if os.path.islink(full) or not os.path.isfile(full) or "__pycache__" in full:
                    continue
                if self.files == self.files_max or self.bytes >= self.bytes_max:
                    return
                target = os.path.join(self.source, full.lstrip("/"))
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copyfile(full, target)
                self.files += 1
                self.bytes += os.path.getsize(target)

    def _change_some(self):
        number = 0
        for path, folders, files in os.walk(self.source):
            folders.sort()
            for name in sorted(files):
                number += 1
                if number % 100 == 0:
                    with open(os.path.join(path, name), "ab") as file:
                        file.write(b"/* changed */\n")


class LammpsSeries:
    """The restart files of one run of examples/lammps, each saved as it would appear: alone."""

    key, title = "a", "LAMMPS series"
    tree, series = False, True

    def __init__(self, work, cache, cells, steps, every):
        self.source = os.path.join(work, "data-a")
        name = f"lammps-{cells}-{steps}-{every}"
        self.run_folder = os.path.join(cache or work, name)
        self.cells, self.steps, self.every = cells, steps, every
        wanted = range(every, steps + 1, every)
        self.names = [f"melt.restart.{step}" for step in wanted]
        self.phases = [(f"step {step}", lambda n=n: self._next(n)) for step, n in zip(wanted, self.names)]

    def describe(self):
        size = os.path.getsize(os.path.join(self.run_folder, self.names[-1]))
        return (
            f"(a) {len(self.names)} restart files of {4 * self.cells**3} atoms, "
            f"{size / 2**20:.1f} MiB each, {self.every} steps apart"
        )

    def prepare(self):
        if os.path.exists(os.path.join(self.run_folder, "complete")):
            return None
        if not shutil.which("lmp"):
            return "LAMMPS (lmp) is not on this machine"
        _fresh(self.run_folder)
        for name in ("in.melt", "in.steps"):
            shutil.copy(os.path.join(LAMMPS_EXAMPLE, name), self.run_folder)
        command = ["lmp", "-screen", "none", "-in", "in.melt"]
        for name in ("cells", "steps", "every"):
            command += ["-var", name, str(getattr(self, name))]
        print(f"making the LAMMPS series: {4 * self.cells**3} atoms, {self.steps} steps ...", flush=True)
        env = dict(os.environ, OMP_NUM_THREADS="1")
        if subprocess.run(command, cwd=self.run_folder, env=env, stdin=subprocess.DEVNULL).returncode:
            raise CommandFailed(f"LAMMPS failed, see {self.run_folder}/log.lammps")
        with open(os.path.join(self.run_folder, "complete"), "w"):
            pass
        return None

    def _next(self, name):
        _fresh(self.source)
        shutil.copyfile(os.path.join(self.run_folder, name), os.path.join(self.source, name))
