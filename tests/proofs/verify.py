"""Verifies a proof file, written from docs/proofs.md alone: verify.py PROOF [KEY].

Needs nothing but Python. Exit code 0: valid; 4: not valid; 2: not a proof file.
"""

import base64
import binascii
import hashlib
import json
import sys


class NotValid(Exception):
    pass


# Ed25519, RFC 8032, section 5.1: points are (x, y).

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    cross = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + cross, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - cross, -1, P)
    return x % P, y % P


def times(n, point):
    result = (0, 1)
    for bit in bin(n)[2:]:
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def point(data):
    y = int.from_bytes(data, "little")
    odd, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square or y >= P or (x == 0 and odd):
        raise NotValid("this is no point of the curve")
    return (P - x if x & 1 != odd else x), y


BASE = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def signed(public, message, signature):
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    return times(s, BASE) == add(point(signature[:32]), times(k, point(public)))


# Keys and notes.


def key(line):
    name, key_id, coded = line.strip().split("+", 2)
    data = base64.b64decode(coded, validate=True)
    expected = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    if data[:1] != b"\x01" or len(data) != 33 or expected.hex() != key_id:
        raise ValueError("this is no public key")
    return name, expected, data[1:]


def note(text, keys):
    body, _, signatures = text.partition("\n\n")
    body += "\n"
    origin, size, root = body.split("\n")[:3]
    for line in signatures.splitlines():
        dash, name, coded = line.split(" ")
        data = base64.b64decode(coded, validate=True)
        if dash != "\u2014":
            raise ValueError("this is no signature")
        for known_name, known_id, public in keys:
            if name == origin == known_name and data[:4] == known_id:
                if not signed(public, body.encode(), data[4:]):
                    raise NotValid("the signature is forged")
                return origin, int(size), base64.b64decode(root, validate=True)
    raise NotValid("no key that is trusted has signed this checkpoint")


# The tree.


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def require(right, reason):
    if not right:
        raise NotValid(reason)


def inclusion(proof, keys):
    _, size, root = note(proof["checkpoint"], keys)
    h = bytes.fromhex(proof["leaf_hash"])
    if "leaf" in proof:
        leaf = base64.b64decode(proof["leaf"], validate=True)
        require(hashlib.sha256(b"\x00" + leaf).digest() == h, "the leaf has another hash")
        require(int.from_bytes(leaf[4:12], "little") == proof["position"], "another position")
    i, last = proof["position"] - 1, size - 1
    require(0 <= i < size, "there is no such leaf")
    for s in map(bytes.fromhex, proof["path"]):
        require(last != 0, "the path is too long")
        if i % 2 == 1 or i == last:
            h = node(s, h)
            while i % 2 == 0 and i != 0:
                i, last = i // 2, last // 2
        else:
            h = node(h, s)
        i, last = i // 2, last // 2
    require(last == 0, "the path is too short")
    require(h == root, "the path leads to another root")
    return f"event {proof['position']} of {size}"


def consistency(proof, keys):
    origin, m, old = note(proof["from"], keys)
    other, n, new = note(proof["to"], keys)
    require(origin == other, "two journals")
    require(m <= n, "it shrinks")
    path = list(map(bytes.fromhex, proof["path"]))
    told = f"{n} events continue {m}"
    if m == 0 or m == n:
        require(not path, "the path is too long")
        require(m != 0 or old == hashlib.sha256(b"").digest(), "the earlier root is another")
        require(m != n or old == new, "the roots differ")
        return told
    i, last = m - 1, n - 1
    while i % 2 == 1:
        i, last = i // 2, last // 2
    if m & (m - 1) == 0:
        path.insert(0, old)
    require(path, "the path is too short")
    a = b = path.pop(0)
    for s in path:
        require(last != 0, "the path is too long")
        if i % 2 == 1 or i == last:
            a, b = node(s, a), node(s, b)
            while i % 2 == 0 and i != 0:
                i, last = i // 2, last // 2
        else:
            b = node(b, s)
        i, last = i // 2, last // 2
    require(last == 0, "the path is too short")
    require(a == old and b == new, "the path leads to other roots")
    return told


def main():
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            proof = json.load(file)
        if proof["format"] != 1:
            raise ValueError("another format")
        lines = sys.argv[2:] or proof["keys"]
        verify = {"inclusion": inclusion, "consistency": consistency}[proof["proves"]]
        print(verify(proof, [key(line) for line in lines]))
    except NotValid as reason:
        print(reason, file=sys.stderr)
        return 4
    except (KeyError, ValueError, IndexError, TypeError, binascii.Error) as reason:
        print(f"not a proof file: {reason!r}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
