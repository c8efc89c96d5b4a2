#!/usr/bin/python3
"""Files that grow: what a code appends to and what a program keeps its records in.

    grow.py hdf5|sqlite FOLDER [--quick]

hdf5: each step appends four frames of three fields, a wave in noise, to datasets of one file. sqlite:
each step inserts rows into one table and changes and removes some. FOLDER/step-NN/FILE. Run by makers.py
with the Python that has Debian's python3-h5py.
"""

import math
import os
import random
import shutil
import sqlite3
import string
import sys

STEPS = 10


def keep(folder, step, name):
    place = os.path.join(folder, f"step-{step:02}")
    os.makedirs(place)
    shutil.copyfile(os.path.join(folder, name), os.path.join(place, os.path.basename(name)))


def hdf5(folder, quick):
    import h5py
    import numpy

    size = 64 if quick else 256
    noise = numpy.random.default_rng(1)
    x, y = numpy.meshgrid(numpy.linspace(0, 1, size), numpy.linspace(0, 1, size))
    path = os.path.join(folder, "fields.h5")
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=x)
        file.create_dataset("y", data=y)
        file.create_dataset("time", (0,), maxshape=(None,), chunks=(64,), dtype="f8")
        for name in ("density", "pressure", "speed"):
            file.create_dataset(name, (0, size, size), maxshape=(None, size, size), dtype="f8",
                                chunks=(1, size, size))
    for step in range(1, STEPS + 1):
        with h5py.File(path, "a") as file:
            for frame in range(4 * step - 4, 4 * step):
                file["time"].resize((frame + 1,))
                file["time"][frame] = 0.01 * frame
                for number, name in enumerate(("density", "pressure", "speed")):
                    field = numpy.sin(12 * x + 0.2 * frame + number) * numpy.cos(9 * y - 0.1 * frame)
                    file[name].resize((frame + 1, size, size))
                    file[name][frame] = field + 1e-6 * noise.standard_normal((size, size))
            file.attrs["step"] = step
        keep(folder, step, "fields.h5")
    os.unlink(path)


def sqlite(folder, quick):
    rows = 1000 if quick else 20_000
    chance = random.Random(1)
    words = ["".join(chance.choices(string.ascii_lowercase, k=chance.randint(3, 9))) for _ in range(2000)]
    path = os.path.join(folder, "runs.sqlite")
    base = sqlite3.connect(path)
    base.execute("create table runs (id integer primary key, name text, state text, loss real, note text)")
    base.execute("create index runs_name on runs (name)")
    for step in range(1, STEPS + 1):
        first = rows * (step - 1)
        for number in range(first, first + rows):
            note = " ".join(chance.choices(words, k=20))
            loss = math.exp(-chance.random())
            base.execute("insert into runs values (?, ?, ?, ?, ?)",
                         (number, f"{chance.choice(words)}-{number}", "queued", loss, note))
        # Mostly what is new changes, and now and then anything.
        for _ in range(rows // 10):
            number = chance.randint(first if chance.random() < 0.95 else 0, first + rows - 1)
            base.execute("update runs set state = 'done', loss = ? where id = ?", (chance.random(), number))
        for _ in range(rows // 200):
            base.execute("delete from runs where id = ?", (chance.randint(0, first + rows - 1),))
        base.commit()
        keep(folder, step, "runs.sqlite")
    base.close()
    os.unlink(path)


if __name__ == "__main__":
    {"hdf5": hdf5, "sqlite": sqlite}[sys.argv[1]](sys.argv[2], "--quick" in sys.argv[3:])
