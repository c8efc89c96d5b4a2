"""The stores that keep the series: ckpt-store, in one variant or more, and the peers of bench/peers."""

import json
import os
import subprocess
from dataclasses import dataclass, field

import tools
from measure import CommandFailed, run


@dataclass
class Variant:
    """One more row of figures for each line in VARIANTS."""

    name: str
    init: list = field(default_factory=list)  # options of `init`
    save: list = field(default_factory=list)  # options of `save`
    env: dict = field(default_factory=dict)


VARIANTS = [
    Variant("ckpt-store"),  # as its users run it
]


class Ckpt(tools.CkptStore):
    """`save SERIES FILE...`, the files by the names they have."""

    def __init__(self, folder, variant):
        super().__init__(folder)
        self.variant = variant
        self.env.update(variant.env)

    def _command(self, *arguments):
        return [self.program, "-s", self.store, "-q", *arguments]

    def setup(self):
        run(self._command("init", *self.variant.init), self.private, self.env)

    def _save(self, source):
        names = sorted(os.listdir(source))
        return run(self._command("save", *self.variant.save, "series", *names), source, self.env)

    def new_bytes(self):
        """Raw bytes of chunks that were not there before, each save's."""
        listed = subprocess.run(self._command("--json", "list", "series"), env=self.env, capture_output=True)
        if listed.returncode != 0:
            raise CommandFailed(listed.stderr.decode(errors="replace"))
        return [checkpoint["new_bytes"] for checkpoint in reversed(json.loads(listed.stdout))]


PEERS = [tools.Restic, tools.BorgLevel3, tools.Casync]
