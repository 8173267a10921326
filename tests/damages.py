"""Damages of a file's bytes, by random generators."""


def flip(content, rng):
    """One to eight bits, anywhere."""
    damaged = bytearray(content)
    for place in rng.integers(0, len(content), rng.integers(1, 9)):
        damaged[place] ^= 1 << int(rng.integers(0, 8))
    return bytes(damaged)


def cut(content, rng):
    return content[: rng.integers(0, len(content))]


def blank(content, rng):
    """A page of zeros, as a disk leaves it that lost one."""
    start = int(rng.integers(0, len(content))) // 512 * 512
    size = min(int(rng.choice([512, 4096])), len(content) - start)
    return content[:start] + bytes(size) + content[start + size :]


def swap(content, rng):
    """Two parts of the same length change places."""
    size = int(rng.integers(1, max(2, len(content) // 4)))
    one, two = sorted(rng.integers(0, max(1, len(content) - size), 2))
    two = min(max(two, one + size), len(content) - size)
    first, second = content[one : one + size], content[two : two + size]
    if two < one + size:
        return content
    between = content[one + size : two]
    return content[:one] + second + between + first + content[two + size :]


def replace(content, rng):
    """One byte by another, or eight by zeros or ones, where numbers may be."""
    start = int(rng.integers(len(content)))
    new = (rng.bytes(1), bytes(8), b"\xff" * 8)[int(rng.integers(3))]
    return content[:start] + new[: len(content) - start] + content[start + len(new) :]


def remove(content, rng):
    start, stop = _part(content, rng)
    return content[:start] + content[stop:]


def repeat(content, rng):
    start, stop = _part(content, rng)
    return content[:stop] + content[start:]


def append(content, rng):
    return content + rng.bytes(int(rng.integers(1, 100)))


# What disks and transfers do, and what else is done to files.
OF_DISKS = (flip, cut, blank, swap)
DAMAGES = (*OF_DISKS, replace, remove, repeat, append)


def damaged(content, rng):
    """Returns other bytes, damaged in one of the ways."""
    return DAMAGES[int(rng.integers(len(DAMAGES)))](content, rng)


def _part(content, rng):
    start = int(rng.integers(len(content)))
    return start, start + 1 + int(rng.integers(1 + len(content) // 4))
