"""BLAKE3 for small inputs, so that forged manifests can have right checksums; and the canonical form of JSON.

BLAKE3: https://github.com/BLAKE3-team/BLAKE3-specs, section 2. The canonical form: src/cache/canonical.rs.
"""

import struct

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
MASK = 0xFFFFFFFF


def mix(v, a, b, c, d, x, y):
    v[a] = (v[a] + v[b] + x) & MASK
    t = v[d] ^ v[a]
    v[d] = (t >> 16 | t << 16) & MASK
    v[c] = (v[c] + v[d]) & MASK
    t = v[b] ^ v[c]
    v[b] = (t >> 12 | t << 20) & MASK
    v[a] = (v[a] + v[b] + y) & MASK
    t = v[d] ^ v[a]
    v[d] = (t >> 8 | t << 24) & MASK
    v[c] = (v[c] + v[d]) & MASK
    t = v[b] ^ v[c]
    v[b] = (t >> 7 | t << 25) & MASK


def compress(chain, block, counter, length, flags):
    v = [*chain, *IV[:4], counter & MASK, counter >> 32, length, flags]
    m = block
    for turn in range(7):
        for i, (a, b, c, d) in enumerate(((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                                          (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))):
            mix(v, a, b, c, d, m[2 * i], m[2 * i + 1])
        m = [m[i] for i in ORDER]
    return [v[i] ^ v[i + 8] for i in range(8)]


def words(block):
    return struct.unpack("<16I", block.ljust(64, b"\0"))


def chunk(data, counter, root):
    chain = IV
    blocks = [data[i : i + 64] for i in range(0, len(data), 64)] or [b""]
    for i, block in enumerate(blocks):
        last = i == len(blocks) - 1
        flags = (CHUNK_START if i == 0 else 0) | (CHUNK_END if last else 0) | (ROOT if last and root else 0)
        chain = compress(chain, words(block), counter, len(block), flags)
    return chain


def tree(data, counter, root):
    if len(data) <= 1024:
        return chunk(data, counter, root)
    half = 1024
    while half * 2 < len(data):
        half *= 2
    both = tree(data[:half], counter, False) + tree(data[half:], counter + half // 1024, False)
    return compress(IV, both, 0, 64, PARENT | (ROOT if root else 0))


def digest(data):
    return struct.pack("<8I", *tree(data, 0, True))


def hexdigest(data):
    return digest(data).hex()


def canonical(value):
    """The bytes that a manifest's checksum and a stage's key are made of."""
    if value is None:
        return b"0"
    if value is True or value is False:
        return b"t" if value else b"f"
    if isinstance(value, int):
        return b"i" + value.to_bytes(16, "little", signed=True)
    if isinstance(value, float):
        return b"d" + struct.pack("<d", value)
    if isinstance(value, str):
        return b"s" + sized(value)
    if isinstance(value, list):
        return b"[" + struct.pack("<Q", len(value)) + b"".join(map(canonical, value))
    items = sorted(value.items(), key=lambda item: item[0].encode())
    return b"{" + struct.pack("<Q", len(items)) + b"".join(canonical(key) + canonical(item) for key, item in items)


def sized(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def files_digest(files):
    """The digest of an output: over the names, digests and sizes of its files."""
    data = b""
    for name, file in sorted(files.items(), key=lambda item: item[0].encode()):
        data += sized(name) + bytes.fromhex(file["digest"]) + struct.pack("<Q", file["size"] & 0xFFFFFFFFFFFFFFFF)
    return hexdigest(data)


# The empty input and 1,025 bytes of 0, 1, …, 250, 0, …: test_vectors.json of the BLAKE3 repository.
assert hexdigest(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
assert hexdigest(bytes(i % 251 for i in range(1025))) == "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"
