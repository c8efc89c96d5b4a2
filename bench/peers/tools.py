"""The programs that are compared: how each is told to save a folder and to restore it again.

Each keeps a store of its own in a folder of its own, caches included, and is run with its
defaults but for: no encryption where it can be had without (borg), zstd everywhere, and no network.
"""

import os
import shutil

from measure import Sample, run


class Tool:
    """save() and restore() work on whole folders and answer a Sample; times of set-up do not count."""

    name = ""
    program = ""
    peer = True  # a store with deduplication, that the figures compare with
    timed = True  # else only what it stores is of interest
    every_phase = True  # else only the first save and the restore say something
    trees = True  # can do folders of many files

    def __init__(self, folder):
        self.store = os.path.join(folder, "store")
        self.private = os.path.join(folder, "private")
        self.env = dict(os.environ, HOME=self.private, TMPDIR=self.private)
        self.saves = 0
        for path in (self.store, self.private):
            os.makedirs(path)

    @classmethod
    def missing(cls):
        return None if shutil.which(cls.program) else f"{cls.program} is not on this machine"

    def version(self):
        return os.popen(f"{self.program} --version 2>/dev/null").readline().strip()

    def setup(self):
        pass

    def save(self, source) -> Sample:
        self.saves += 1
        return self._save(source)


class CkptStore(Tool):
    name = "ckpt-store"
    program = "ckpt-store"
    peer = False

    def _save(self, source):
        return run([self.program, "-s", self.store, "-q", "save", "series", "."], source, self.env)

    def restore(self, target):
        command = [self.program, "-s", self.store, "-q", "restore", "series", "--to", target]
        return run(command, target, self.env)


class Restic(Tool):
    name = program = "restic"

    def setup(self):
        self.env.update(RESTIC_REPOSITORY=self.store, RESTIC_PASSWORD="benchmark")
        self.env.update(RESTIC_CACHE_DIR=os.path.join(self.private, "cache"), RESTIC_PROGRESS_FPS="0")
        run(["restic", "init", "--repository-version", "2"], self.private, self.env)

    def version(self):
        return os.popen("restic version").readline().strip()

    def _save(self, source):
        return run(["restic", "backup", "--quiet", "--compression", "auto", "."], source, self.env)

    def restore(self, target):
        return run(["restic", "restore", "--quiet", "latest", "--target", target], target, self.env)


class Borg(Tool):
    name = "borg"
    program = "borg"
    compression = "zstd,1"

    def setup(self):
        self.env.update(
            BORG_REPO=self.store,
            BORG_BASE_DIR=self.private,
            BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes",
            BORG_RELOCATED_REPO_ACCESS_IS_OK="yes",
        )
        run(["borg", "init", "--encryption", "none"], self.private, self.env)

    def _save(self, source):
        archive = f"::save-{self.saves}"
        command = ["borg", "create", "--compression", self.compression, archive, "."]
        return run(command, source, self.env)

    def restore(self, target):
        return run(["borg", "extract", f"::save-{self.saves}"], target, self.env)


class BorgLevel3(Borg):
    name = "borg zstd,3"
    compression = "zstd,3"
    timed = False


class Casync(Tool):
    name = program = "casync"

    def _paths(self):
        return "--store=" + os.path.join(self.store, "chunks"), os.path.join(
            self.store, f"save-{self.saves}.caidx"
        )

    def _save(self, source):
        chunks, index = self._paths()
        command = ["casync", "make", "--compression=zstd", chunks, index, source]
        return run(command, self.private, self.env)

    def restore(self, target):
        chunks, index = self._paths()
        return run(["casync", "extract", chunks, index, target], self.private, self.env)


class Copy(Tool):
    """cp, and fsync of each file (of the whole file system, where there are many)."""

    name = "cp + fsync"
    program = "cp"
    peer = False
    every_phase = False

    def _save(self, source):
        copy = os.path.join(self.store, "copy")
        shutil.rmtree(copy, ignore_errors=True)
        os.sync()
        files = len(os.listdir(source))
        sync = "find copy -type f -exec sync {} +" if files == 1 else "sync -f copy"
        return run(["sh", "-c", f'cp -a "$1" copy && {sync}', "sh", source], self.store, self.env)

    def restore(self, target):
        return run(["cp", "-a", os.path.join(self.store, "copy") + "/.", target], target, self.env)


class DirectCopy(Tool):
    """dd past the page cache, and fsync: what the disk itself takes."""

    name = "O_DIRECT copy"
    program = "dd"
    peer = False
    every_phase = False
    trees = False

    def _save(self, source):
        (name,) = os.listdir(source)
        copy = os.path.join(self.store, "copy")
        if os.path.exists(copy):
            os.unlink(copy)
            os.sync()
        command = ["dd", f"if={os.path.join(source, name)}", f"of={copy}", "bs=4M"]
        return run(command + ["oflag=direct", "conv=fsync"], self.store, self.env)

    restore = None


ALL = [CkptStore, Restic, Borg, BorgLevel3, Casync, Copy, DirectCopy]
