"""The series: who makes them, from which package, and where they lie.

A maker fills FOLDER/step-NN/ for each step, with the files as the program wrote them and under the
names it gave them. What is made is kept in the cache and made again when the cache is emptied. Seeds
are fixed; GROMACS and pw.x put times and names of hosts into their files, so bytes differ a little from
run to run.
"""

import os
import shutil
import subprocess
import time

from measure import run

HERE = os.path.dirname(os.path.abspath(__file__))
LAMMPS_EXAMPLE = os.path.join(HERE, "..", "..", "examples", "lammps")
PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's torch and h5py
STEPS = 10


class Maker:
    key = title = program = package = ""

    def __init__(self, cache, build, quick):
        self.quick = quick
        self.build = build
        self.folder = os.path.join(cache, self.key + ("-quick" if quick else ""))
        self.partial = self.folder + ".partial"  # renamed when all steps are there

    def missing(self):
        """Why the series cannot be made; None if it can, or is there."""
        if os.path.isdir(self.folder) or shutil.which(self.program):
            return None
        return f"{self.program} is not on this machine (apt-get install {self.package})"

    def prepare(self):
        if os.path.isdir(self.folder):
            return
        shutil.rmtree(self.partial, ignore_errors=True)
        os.makedirs(self.partial)
        print(f"making the series {self.key} ...", end="", flush=True)
        begin = time.monotonic()
        self.make()
        print(f" {time.monotonic() - begin:.0f} s", flush=True)
        for name in os.listdir(self.partial):
            if not name.startswith("step-"):
                self.remove(name)
        os.rename(self.partial, self.folder)

    def steps(self):
        """Their folders; in the quick form the first few, as starting borg and restic is what takes time."""
        names = sorted(os.listdir(self.folder))
        return [os.path.join(self.folder, name) for name in (names[:3] if self.quick else names)]

    # For the makers: all paths are relative to what is being made.

    def path(self, *names):
        return os.path.join(self.partial, *names)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)

    def remove(self, name):
        if os.path.isdir(self.path(name)):
            shutil.rmtree(self.path(name))
        else:
            os.unlink(self.path(name))

    def call(self, command, threads=2):
        # Passive: threads that spin for each other crawl where others are at work, too.
        env = dict(os.environ, OMP_NUM_THREADS=str(threads), OMP_WAIT_POLICY="passive")
        run(command, self.partial, env)

    def step(self, number):
        folder = self.path(f"step-{number:02}")
        os.makedirs(folder)
        return folder


class Lammps(Maker):
    program, package = "lmp", "lammps"
    every = from_step = 0

    def __init__(self, cache, build, quick):
        super().__init__(cache, build, quick)
        self.cells = 16 if quick else 50
        self.title = f"LAMMPS, melt, {self.every} steps apart"

    def make(self):
        """From the lattice to `from_step`, then restart files `every` so many steps."""
        for name in ("in.melt", "in.continue", "in.steps"):
            shutil.copy(os.path.join(LAMMPS_EXAMPLE, name), self.partial)
        self._run("in.melt", self.from_step, self.from_step, ["-var", "cells", str(self.cells)])
        os.rename(self.path(f"melt.restart.{self.from_step}"), self.path("melted"))
        last = self.from_step + STEPS * self.every
        self._run("in.continue", last, self.every, ["-var", "restart", "melted"])
        for number in range(1, STEPS + 1):
            name = f"melt.restart.{self.from_step + number * self.every}"
            os.rename(self.path(name), os.path.join(self.step(number), name))

    def _run(self, script, steps, every, more):
        command = ["lmp", "-screen", "none", "-in", script, "-var", "steps", str(steps)]
        self.call(command + ["-var", "every", str(every)] + more, threads=1)


class LammpsNear(Lammps):
    key, every, from_step = "lammps-2", 2, 100


class LammpsFar(Lammps):
    key, every, from_step = "lammps-25", 25, 25


class Gromacs(Maker):
    key, program, package = "gromacs", "gmx", "gromacs"
    apart = 40  # steps of 2 fs

    title = f"GROMACS, water, state.cpt, {apart} steps apart"
    common = "cutoff-scheme = Verlet\ncoulombtype = PME\n"
    topology = (
        '#include "oplsaa.ff/forcefield.itp"\n#include "oplsaa.ff/spce.itp"\n'
        "[ system ]\nwater\n[ molecules ]\n"
    )

    def make(self):
        self.write("topol.top", self.topology)  # solvate adds how many molecules
        self.write("em.mdp", self.common + "integrator = steep\nnsteps = 20\n")
        self.write("md.mdp", self.common + (
            f"integrator = md\ndt = 0.002\nnsteps = {STEPS * self.apart}\nnstlist = {self.apart // 2}\n"
            "tcoupl = v-rescale\ntc-grps = System\ntau-t = 0.1\nref-t = 300\n"
            "gen-vel = yes\ngen-temp = 300\ngen-seed = 4711\nld-seed = 4711\n"
        ))
        box = ["4"] * 3 if self.quick else ["12"] * 3  # nm: 56,000 waters
        self._gmx("solvate", "-cs", "spc216.gro", "-box", *box, "-p", "topol.top", "-o", "box.gro")
        self._mdrun("em", "box.gro")
        # A checkpoint at each search for neighbours, of which every other one is of the series.
        search = str(self.apart // 2)
        self._mdrun("md", "em.gro", "-cpo", "state.cpt", "-cpt", "0", "-cpnum", "-nstlist", search)
        for number in range(1, STEPS + 1):
            state = self.path(f"state_step{number * self.apart}.cpt")
            os.rename(state, os.path.join(self.step(number), "state.cpt"))

    def _gmx(self, *arguments):
        self.call(["gmx", "-quiet", "-nobackup", *arguments])

    def _mdrun(self, name, start, *more):
        self._gmx("grompp", "-f", f"{name}.mdp", "-c", start, "-p", "topol.top", "-o", f"{name}.tpr")
        self._gmx("mdrun", "-deffnm", name, "-ntmpi", "1", "-ntomp", "2", "-reprod", *more)


class Script(Maker):
    """A series that a script of this folder makes: SCRIPT WHAT FOLDER [--quick]."""

    program = PYTHON
    script = what = module = ""

    def missing(self):
        if os.path.isdir(self.folder):
            return None
        look = [PYTHON, "-c", f"import {self.module}"]
        if os.access(PYTHON, os.X_OK) and subprocess.run(look, capture_output=True).returncode == 0:
            return None
        return f"{PYTHON} has no {self.module} (apt-get install {self.package})"

    def make(self):
        quick = ["--quick"] if self.quick else []
        self.call([PYTHON, os.path.join(HERE, self.script), self.what, self.partial] + quick)


class TorchWhole(Script):
    key, title = "torch", "PyTorch, transformer, Adam, from scratch"
    package, module, script, what = "python3-torch", "torch", "train.py", "whole"


class TorchTune(Script):
    key, title = "torch-tune", "PyTorch, fine-tuning, most layers frozen"
    package, module, script, what = "python3-torch", "torch", "train.py", "tune"


class Hdf5(Script):
    key, title = "hdf5", "HDF5 file that grows"
    package, module, script, what = "python3-h5py", "h5py", "grow.py", "hdf5"


class Sqlite(Script):
    key, title = "sqlite", "SQLite file that grows"
    package, module, script, what = "python3", "sqlite3", "grow.py", "sqlite"


class Espresso(Maker):
    key, title = "espresso", "Quantum ESPRESSO, silicon, .save after each MD step"
    program, package = "pw.x", "quantum-espresso quantum-espresso-data"
    pseudo = "/usr/share/espresso/pseudo"

    def missing(self):
        potential = os.path.join(self.pseudo, "Si.pz-vbc.UPF")
        if os.path.isdir(self.folder) or shutil.which("pw.x") and os.path.exists(potential):
            return None
        return f"pw.x or {potential} is not on this machine (apt-get install {self.package})"

    def make(self):
        """pw.x is stopped and continued after each step, so that it writes all it has."""
        for number in range(1, STEPS + 1):
            self.write("md.in", self._input(first=number == 1))
            self.call(["pw.x", "-in", "md.in"], threads=1)
            shutil.copytree(self.path("out", "silicon.save"), os.path.join(self.step(number), "silicon.save"))

    def _input(self, first):
        cutoff, points = (10, 1) if self.quick else (28, 3)
        mode, start, waves = "restart", "file", "file"
        if first:
            mode, start, waves = "from_scratch", "atomic", "atomic+random"
        cell = ["0 0 0", ".5 .5 0", ".5 0 .5", "0 .5 .5"]
        cell += [".25 .25 .25", ".75 .75 .25", ".75 .25 .75", ".25 .75 .75"]
        return "\n".join([
            f"&control calculation='md', prefix='silicon', outdir='./out', pseudo_dir='{self.pseudo}',",
            f" nstep=1, dt=20, disk_io='low', restart_mode='{mode}' /",
            f"&system ibrav=1, celldm(1)=10.26, nat=8, ntyp=1, ecutwfc={cutoff}, nosym=.true. /",
            f"&electrons conv_thr=1e-8, mixing_beta=0.4, startingpot='{start}', startingwfc='{waves}' /",
            "&ions ion_dynamics='verlet', ion_temperature='initial', tempw=600 /",
            "ATOMIC_SPECIES", "Si 28.086 Si.pz-vbc.UPF",
            "ATOMIC_POSITIONS crystal", *("Si " + place for place in cell),
            "K_POINTS automatic", f"{points} {points} {points} 0 0 0", "",
        ])


class Front(Maker):
    key, title = "front", "flame in a box, two fields of doubles"

    def missing(self):
        self.program = os.path.join(self.build, "bench", "front")
        if os.path.isdir(self.folder) or os.access(self.program, os.X_OK):
            return None
        return f"{self.program} is not built (-DCKPT_BUILD_BENCH=ON)"

    def make(self):
        self.call([self.program, self.partial, "32" if self.quick else "160", str(STEPS)]
                  + (["4"] if self.quick else []))


ALL = [LammpsNear, LammpsFar, Gromacs, Espresso, TorchWhole, TorchTune, Front, Hdf5, Sqlite]
