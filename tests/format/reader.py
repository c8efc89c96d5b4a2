#!/usr/bin/env python3
"""reader.py STORE OUT: a reader of stores of format 1, written from docs/format.md alone.

Writes every checkpoint's files below OUT/SERIES@ATTEMPT:STEP/ (arrays as their bytes) and holds every
field that the page describes against what the page says of it. Ends with a line of counts; a field that
is otherwise ends it with an error. Needs python3-xxhash and python3-zstandard. Reads whole packs into
memory: it is there to show that the page is enough, not to be fast.
"""
import os
import struct
import sys

import xxhash
import zstandard

CHUNK, DIRECTORY, MANIFEST, TOMBSTONE, DAMAGE, ATTEMPT, ACK, MOVED, MARK, PADDING, WRITER = range(1, 12)
FILE, FOLDER, SYMBOLIC_LINK, HARD_LINK, ARRAY, STREAM = range(6)
NO_ID = bytes(16)
BLOCK = 4096


class Wrong(Exception):
    pass


def expect(holds, *what):
    if not holds:
        raise Wrong(" ".join(str(w) for w in what))


def checksum(data):
    return xxhash.xxh3_64_intdigest(data)


def is_zero(data):
    return not data.strip(b"\0")


class Cursor:
    """Takes fields off the front of bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        expect(self.at + count <= len(self.data), "a field runs over the end")
        self.at += count
        return self.data[self.at - count:self.at]

    def numbers(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def number(self, form):
        return self.numbers(form)[0]

    def id(self):
        return self.take(16)

    def string(self):
        return self.take(self.number("I"))

    def end(self):
        expect(self.at == len(self.data), len(self.data) - self.at, "bytes too many")


def undo_difference(codec, width, difference, base):
    """What codecs 16 and 17 hold, without their shuffle, back to the chunk's bytes."""
    if codec == 16:
        return bytes(d ^ b for d, b in zip(difference, base))
    lane = next(bytes_ for bytes_ in (8, 4, 2, 1) if width % bytes_ == 0)
    whole = len(base) // lane * lane
    raw = bytearray()
    for at in range(0, whole, lane):
        folded = int.from_bytes(difference[at:at + lane], "little")
        step = -(folded + 1) // 2 if folded & 1 else folded // 2
        number = (int.from_bytes(base[at:at + lane], "little") + step) % (1 << 8 * lane)
        raw += number.to_bytes(lane, "little")
    return bytes(raw) + bytes(d ^ b for d, b in zip(difference[whole:], base[whole:]))


def decode(codec, parameter, stored, raw_bytes, base=None):
    if codec == 0:
        raw = stored
    else:
        expect(codec in (1, 2) or (codec in (16, 17) and base is not None), "codec", codec)
        frame = b"\x28\xb5\x2f\xfd" + (stored if base is None else stored[16:])
        raw = zstandard.ZstdDecompressor().decompress(frame, max_output_size=raw_bytes)
    width = parameter or 256
    if codec >= 2:
        shuffled, raw = raw, bytearray(len(raw))
        count = len(shuffled) // width
        for j in range(width):
            raw[j:count * width:width] = shuffled[j * count:(j + 1) * count]
        raw[count * width:] = shuffled[count * width:]
    expect(len(raw) == raw_bytes, "decodes to", len(raw), "bytes, not", raw_bytes)
    return bytes(raw) if base is None else undo_difference(codec, width, raw, base)


class Record:
    def __init__(self, pack, offset, header):
        self.pack, self.offset = pack, offset
        self.type, self.codec, self.parameter = header[4:7]
        self.stored_bytes, self.raw_bytes, self.writer = struct.unpack_from("<QQQ", header, 8)
        self.id = header[32:48]
        self.checksum, = struct.unpack_from("<Q", header, 48)
        self.end = offset + 64 + self.stored_bytes

    def stored(self):
        return self.pack.data[self.offset + 64:self.end]

    def base(self):
        """The id of what the chunk is the difference from."""
        return self.stored()[:16] if 16 <= self.codec <= 31 else None

    def payload(self, base=None):
        return decode(self.codec, self.parameter, self.stored(), self.raw_bytes, base)


class Pack:
    def __init__(self, path, store_uuid):
        with open(path, "rb") as file:
            self.data = file.read()
        self.id = bytes.fromhex(os.path.basename(path)[:32])
        head = self.data[:BLOCK]
        expect(head[:8] == b"CKPTPACK" and head[16:32] == self.id and head[32:48] == store_uuid, "header", path)
        version, flags = struct.unpack_from("<II", head, 8)
        expect(version == 1 and flags in (0, 1) and is_zero(head[72:4088]), "header", path)
        expect(struct.unpack_from("<Q", head, 4088)[0] == checksum(head[:4088]), "header's checksum", path)
        self.reserve = bool(flags & 1)
        self.records, self.marks, self.sealed = [], [], False
        self.walk()
        self.compare_directories()

    def header_at(self, offset):
        header = self.data[offset:offset + 64]
        if len(header) < 64 or header[:4] != b"CKR1" or header[7] != 0:
            return None
        bound = self.id + struct.pack("<Q", offset) + header[:56]
        if struct.unpack_from("<Q", header, 56)[0] != checksum(bound):
            return None
        record = Record(self, offset, header)
        return record if record.end <= len(self.data) else None

    def walk(self):
        offset = BLOCK
        while (record := self.header_at(offset)) is not None:
            where = ("record at", offset)
            stored = record.stored()
            if record.type == PADDING:
                expect(is_zero(stored) and record.checksum == 0, *where)
            else:
                expect(record.checksum == checksum(stored), *where)
            expect(record.type == CHUNK or record.id == NO_ID, *where)
            expect(record.type in (CHUNK, MANIFEST) or record.codec == 0, *where)
            if record.type == MARK:
                self.add_mark(record)
            self.records.append(record)
            end = (record.end + 7) & ~7
            expect(is_zero(self.data[record.end:end]), *where)
            offset = end
        expect(is_zero(self.data[offset:]), "bytes behind the walk's end at", offset)

    def add_mark(self, record):
        fields = Cursor(record.stored())
        durable, = fields.numbers("Q")
        fields.id()
        _device, _inode, directory, before, flags, zero = fields.numbers("QQQQII")
        fields.end()
        where = ("mark at", record.offset)
        expect(record.offset % BLOCK == 0 and durable == record.offset, *where)
        expect(before == len(self.marks) and flags in (0, 1, 2, 3) and zero == 0, *where)
        self.marks.append((record, directory, bool(flags & 2)))

    def compare_directories(self):
        """Directories list what a walk finds, each from where the one before ends."""
        if not self.marks:
            return
        by_offset = {r.offset: r for r in self.records}
        _, at, self.sealed = self.marks[-1]
        covered_until = None
        while at != 0:
            fields = Cursor(by_offset[at].stored())
            expect(by_offset[at].type == DIRECTORY, "no directory at", at)
            before, first, flags, chunks, records, bases = fields.numbers("QQIIII")
            listed = []
            for _ in range(chunks):
                listed.append((fields.id(), *fields.numbers("QIIBBHI")))
            others = [fields.numbers("QQB7s") for _ in range(records)]
            bases = [fields.id() for _ in range(bases)]
            fields.end()
            listed = [(*entry[:-1], bases[entry[-1] - 1] if entry[-1] > 0 else None) for entry in listed]
            expect(bool(flags & 1) == self.sealed, "directory at", at, "sealed or not")
            if self.sealed:
                expect(before == 0 and first == BLOCK, "sealed directory covers the pack")
                expect(listed == sorted(listed, key=lambda e: (e[0], e[1])), "sorted by id")
            else:
                expect(listed == sorted(listed, key=lambda e: e[1]), "sorted by offset")
            expect(others == sorted(others), "records sorted by offset")
            inside = [r for r in self.records if first <= r.offset < at]
            expect(sorted(listed, key=lambda e: e[1]) == [
                (r.id, r.offset, r.stored_bytes, r.raw_bytes, r.codec, r.parameter, 0, r.base())
                for r in inside if r.type == CHUNK], "chunks of the directory at", at)
            expect(others == [(r.offset, r.stored_bytes, r.type, bytes(7)) for r in inside
                              if r.type not in (CHUNK, DIRECTORY, MARK, PADDING)], "records of the directory at", at)
            if covered_until is not None:
                listed_later = range(at + 1, covered_until)
                expect(not any(r.type not in (MARK, PADDING) and r.offset in listed_later for r in self.records),
                       "records that no directory lists before", covered_until)
            covered_until, at = first, before


class Store:
    def __init__(self, path):
        self.read_format(path + "/format")
        self.packs = [Pack(f"{path}/packs/{name}", self.uuid) for name in sorted(os.listdir(path + "/packs"))]
        self.chunks, self.manifests, self.removed, self.counts = {}, {}, set(), {}
        self.levels = 0
        for pack in self.packs:
            for record in pack.records:
                self.counts[record.type] = self.counts.get(record.type, 0) + 1
                if record.type == CHUNK:
                    self.chunks.setdefault(record.id, []).append(record)
                elif record.type not in (DIRECTORY, MARK, PADDING):
                    self.add_record(record)
        if os.path.exists(path + "/collect"):
            self.read_collect(path + "/collect")

    def read_format(self, path):
        with open(path, "rb") as file:
            data = file.read()
        expect(len(data) == BLOCK and data[:8] == b"CKPTSTOR", path)
        expect(struct.unpack_from("<Q", data, 4088)[0] == checksum(data[:4088]), path, "checksum")
        fields = Cursor(data[8:4088])
        expect(fields.numbers("IIQQQ") == (1, 0, 0, 0, 0), path, "version and feature bits")
        self.uuid = fields.id()
        expect(fields.numbers("B7s") == (1, bytes(7)), path, "hash")
        (self.seed, self.least, self.average, self.greatest, self.array_chunk, _level, zero,
         _sealed_beyond) = fields.numbers("QIIIIiIQ")
        expect(zero == 0 and is_zero(fields.data[fields.at:]), path)

    def read_collect(self, path):
        with open(path, "rb") as file:
            data = file.read()
        for slot in (data[:65536], data[65536:131072]):
            if is_zero(slot):
                continue
            expect(slot[:8] == b"CKPTCOLL" and slot[24:40] == self.uuid, path)
            version, phase = struct.unpack_from("<II", slot, 8)
            expect(version == 1 and phase in (0, 1, 2), path)
            expect(struct.unpack_from("<Q", slot, 65528)[0] == checksum(slot[:65528]), path, "checksum")

    def add_record(self, record):
        fields = Cursor(record.payload())
        expect(fields.number("H") == 1, "version of the record at", record.offset)
        if record.type == MANIFEST:
            self.add_manifest(fields)
        elif record.type == TOMBSTONE:
            attempt, _ordinal, _series = fields.id(), fields.number("Q"), fields.string()
            step, _time, why = fields.numbers("qqB")
            expect(why in (0, 1), "why of a tombstone")
            self.removed.add((attempt, step))
        elif record.type == ATTEMPT:
            flags, _attempt, _ordinal = fields.number("H"), fields.id(), fields.number("Q")
            _parent, _step, _series = fields.id(), fields.number("q"), fields.string()
            _time, _host, _job, _ranks = fields.number("q"), fields.id(), fields.string(), fields.number("I")
            expect(flags in (0, 1), "flags of an attempt")
        elif record.type == DAMAGE:
            kind, _pack, _offset, _chunk, _time = (fields.number("B"), fields.id(), fields.number("Q"),
                                                   fields.id(), fields.number("q"))
            expect(kind in (0, 1, 2), "kind of damage")
        elif record.type == ACK:
            fields.number("Q")
            for _ in range(fields.number("I")):
                fields.id()
        elif record.type == MOVED:
            _epoch, _pack = fields.number("Q"), fields.id()
            for _ in range(fields.number("I")):
                fields.id()
                fields.number("Q")
        elif record.type == WRITER:
            fields.string()
            fields.number("I")
        else:
            return
        fields.end()

    def add_manifest(self, fields):
        flags, attempt, ordinal = fields.number("H"), fields.id(), fields.number("Q")
        parent, parent_step = fields.id(), fields.number("q")
        expect(flags == (1 if parent != NO_ID else 0) and (parent_step == 0 or flags == 1), "parent")
        series, step = fields.string(), fields.number("q")
        rank, ranks, _created = fields.numbers("IIq")
        expect(rank < ranks, "rank")
        _host, _host_name, _job = fields.id(), fields.string(), fields.string()
        totals = fields.numbers("8Q")
        for _ in range(fields.number("I")):
            fields.string()
            fields.string()
        level = fields.number("B")
        root = self.node_reference(fields)
        for _ in range(fields.number("I")):
            fields.id()
            fields.number("Q")
        for _ in range(fields.number("I")):
            fields.number("H")
            fields.string()
        self.manifests[attempt, step, rank] = (series, ordinal, step, totals, level, root)

    @staticmethod
    def node_reference(fields):
        """None, the node's bytes, or (id, bytes) of the chunk that holds it."""
        how = fields.number("B")
        expect(how in (0, 1, 2), "node reference", how)
        if how == 0:
            return None
        if how == 1:
            node = fields.string()
            expect(1 <= len(node) <= 240, "a node of", len(node), "bytes is not here")
            return node
        reference = (fields.id(), fields.number("I"))
        expect(241 <= reference[1] <= 1 << 20, "a node of", reference[1], "bytes as a chunk")
        return reference

    def base_of(self, record):
        if record.base() is None:
            return None
        for other in self.chunks.get(record.base(), []):
            if other.base() is None and other.raw_bytes == record.raw_bytes:
                return other.payload()
        raise Wrong("no base of chunk " + record.id.hex())

    def chunk(self, chunk_id, raw_bytes):
        for record in self.chunks.get(chunk_id, []):
            if record.raw_bytes == raw_bytes:
                raw = record.payload(self.base_of(record))
                expect(xxhash.xxh3_128_digest(raw) == chunk_id, "chunk", chunk_id.hex(), "has other bytes")
                return raw
        raise Wrong("no chunk " + chunk_id.hex())

    def open_node(self, reference, is_root, level, leaf_kind):
        node = reference if isinstance(reference, bytes) else self.chunk(*reference)
        fields = Cursor(node)
        kind, node_level, zero, items = fields.numbers("BBHI")
        expect(kind == leaf_kind + (1 if level > 0 else 0) and node_level == level and zero == 0, "node's head")
        expect(1 <= items <= 1024 and level <= 7, "node of", items, "items, level", level)
        self.levels = max(self.levels, level + 1)
        expect(not (is_root and level > 0 and items == 1), "a root with a single child")
        return fields, items

    @staticmethod
    def end_node(fields):
        rest = fields.data[fields.at:]
        expect(not rest or (is_zero(rest) and len(fields.data) == 241), "bytes behind a node's items")

    def content(self, reference, level, pieces, is_root=True):
        """Appends bytes, and numbers for holes, to `pieces`; answers content bytes and chunks."""
        if reference is None:
            return 0, 0
        fields, items = self.open_node(reference, is_root, level, 1)
        total = chunks = 0
        for _ in range(items):
            if level > 0:
                child = (fields.id(), fields.number("I"))
                below = fields.numbers("QQ")
                expect(self.content(child, level - 1, pieces, False) == below, "sums of an inner node")
                total, chunks = total + below[0], chunks + below[1]
                continue
            head = fields.number("I")
            kind, length = head >> 30, head & 0x3FFFFFFF
            if kind == 0:
                expect(length >= 241, "a chunk of", length, "bytes")
                pieces.append(self.chunk(fields.id(), length))
                chunks += 1
            elif kind == 1:
                expect(1 <= length <= 240, "inline bytes")
                pieces.append(fields.take(length))
            else:
                expect(kind == 2 and length == 0, "item of kind", kind)
                length = fields.number("Q")
                expect(length >= 1, "a hole of nothing")
                pieces.append(length)
            total += length
        self.end_node(fields)
        return total, chunks

    def entries(self, reference, level, is_root=True):
        if reference is None:
            return []
        fields, items = self.open_node(reference, is_root, level, 3)
        found = []
        for _ in range(items):
            if level == 0:
                found.append(self.entry(fields))
                continue
            first, child = fields.string(), (fields.id(), fields.number("I"))
            below, logical = fields.numbers("QQ")
            part = self.entries(child, level - 1, False)
            expect(part[0]["name"] == first and len(part) == below, "an inner node's child")
            expect(sum(e["bytes"] for e in part) == logical, "an inner node's sums")
            found += part
        self.end_node(fields)
        return found

    def entry(self, fields):
        entry = {"kind": fields.number("B"), "name": fields.string()}
        entry["bytes"], entry["chunks"], flags = fields.numbers("QQB")
        kind = entry["kind"]
        expect(kind <= STREAM and flags in (0, 1, 2), "entry", entry["name"])
        if kind == ARRAY:
            dtype, order, dimensions, element_bytes = fields.numbers("BBBI")
            extents = fields.numbers(f"{dimensions}Q")
            if flags & 2:
                fields.numbers(f"{2 * dimensions}Q")
            product = element_bytes
            for extent in extents:
                product *= extent
            expect(product == entry["bytes"] and 1 <= dtype <= 20 and order in (0, 1), "array", entry["name"])
        else:
            entry["mode"], _uid, _gid, entry["mtime"], _ctime, _device, _inode = fields.numbers("IIIqqQQ")
            if kind in (SYMBOLIC_LINK, HARD_LINK):
                entry["target"] = fields.string()
            for _ in range(fields.number("I")):
                fields.string()
                fields.string()
        if kind in (FILE, ARRAY, STREAM):
            entry["level"], entry["root"] = fields.number("B"), self.node_reference(fields)
        return entry

    def expect_cuts(self, pieces, name):
        """A stream's chunks end where the page says: between holes, in what content there is."""
        gear = []
        for b in range(256):
            z = (self.seed + (b + 1) * 0x9E3779B97F4A7C15) & (2**64 - 1)
            z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & (2**64 - 1)
            z = (z ^ z >> 27) * 0x94D049BB133111EB & (2**64 - 1)
            gear.append((z ^ z >> 31) >> 32)
        hard, easy = 2**30 // self.average, 2**34 // self.average

        def length_of_next(data, at):
            left = len(data) - at
            if left <= self.least:
                return left
            fingerprint = 0
            for b in data[at + self.least - 32:at + self.least]:
                fingerprint = (2 * fingerprint + gear[b]) & 0xFFFFFFFF
            most = min(left, self.greatest)
            for p in range(self.least, most):
                if fingerprint < (hard if p < self.average else easy):
                    return p
                fingerprint = (2 * fingerprint + gear[data[at + p]]) & 0xFFFFFFFF
            return most

        run = []
        for piece in pieces + [1]:  # a hole ends the last
            if not isinstance(piece, int):
                run.append(piece)
                continue
            data, at = b"".join(run), 0
            for part in run:
                expect(len(part) == length_of_next(data, at), name, "is cut otherwise at", at)
                at += len(part)
            run = []


def write_file(path, pieces, size):
    with open(path, "wb") as file:
        for piece in pieces:
            if isinstance(piece, int):
                file.seek(piece, os.SEEK_CUR)
            else:
                file.write(piece)
        file.truncate(size)


def write_entry(store, folder, entry):
    path = os.path.join(folder, entry["name"])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    kind = entry["kind"]
    if kind == FOLDER:
        os.makedirs(path, exist_ok=True)
    elif kind == SYMBOLIC_LINK:
        os.symlink(entry["target"], path)
    elif kind == HARD_LINK:
        os.link(os.path.join(folder, entry["target"]), path)
    else:
        pieces = []
        sums = store.content(entry["root"], entry["level"], pieces)
        expect(sums == (entry["bytes"], entry["chunks"]), "sums of", entry["name"])
        if kind != ARRAY:
            store.expect_cuts(pieces, entry["name"])
        write_file(path, pieces, entry["bytes"])


def main():
    store, out = Store(sys.argv[1]), os.fsencode(sys.argv[2])
    read = 0
    for (attempt, step, rank), manifest in sorted(store.manifests.items()):
        series, ordinal, _, totals, level, root = manifest
        if (attempt, step) in store.removed:
            continue
        entries = store.entries(root, level)
        expect([e["name"] for e in entries] == sorted({e["name"] for e in entries}), "order of entries")
        expect(totals[0] == sum(e["bytes"] for e in entries), "logical bytes")
        expect(totals[4] == sum(e["chunks"] for e in entries), "chunks")
        expect(totals[6] == len(entries), "entries")
        expect(totals[7] == sum(e["kind"] == FILE for e in entries), "files")
        name = series + b"@%d:%d" % (ordinal, step) + (b".%d" % rank if rank else b"")
        os.makedirs(os.path.join(out, name))
        for entry in entries:
            write_entry(store, os.path.join(out, name), entry)
        read += 1
    codecs = sorted({r.codec for records in store.chunks.values() for r in records})
    print(f"{read} checkpoints, {len(store.packs)} packs ({sum(p.sealed for p in store.packs)} sealed),",
          f"{len(store.chunks)} chunks, {store.levels} levels, codecs", *codecs, "- records by type:",
          *(f"{kind}:{count}" for kind, count in sorted(store.counts.items())))


if __name__ == "__main__":
    main()
