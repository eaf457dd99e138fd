"""Writes packed-layout.txt: examples of the packed layout, computed from its specification in
native/LAYOUT.md and from nothing else. Usage: python3 packed-layout.py > packed-layout.txt"""

GRIDS = {"binary": 1, "int2": 2, "int3": 3, "int4": 4, "int5": 5, "int6": 6, "int7": 7, "int8": 8, "ternary": 2}


def codes_of(grid):
    if grid == "binary":
        return [-1, 1]
    if grid == "ternary":
        return [-1, 0, 1]
    half = 1 << (GRIDS[grid] - 1)
    return list(range(-half, half))


def pack_row(grid, codes):
    bits, row = GRIDS[grid], bytearray()
    for begin in range(0, len(codes), 64):
        block = codes[begin:begin + 64]
        fields = [(code > 0 if grid == "binary" else code) & ((1 << bits) - 1) for code in block]
        above = 0
        for width in (8, 4, 2, 1):
            if not bits & width:
                continue
            above += width
            plane = bytearray(8 * width)
            for i, field in enumerate(fields):
                part = field >> (bits - above) & ((1 << width) - 1)
                plane[i % (8 * width)] |= part << (i // (8 * width) * width)
            row += plane
    return row


def pack_trits(codes):
    row = bytearray()
    for begin in range(0, len(codes), 5):
        five = codes[begin:begin + 5] + [0] * 5
        row.append(sum((five[i] + 1) * 3 ** i for i in range(5)))
    return row


def example(grid, cols, seed):
    choices, state, codes = codes_of(grid), seed, []
    for _ in range(cols):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        codes.append(choices[(state >> 16) % len(choices)])
    return codes


print("# One row of packed weights a line: form | codes | bytes in hex. Written by packed-layout.py.")
for number, grid in enumerate(GRIDS):
    for cols in (1, 9, 64, 70, 130):
        codes = example(grid, cols, 100 * number + cols)
        print(grid, "|", *codes, "|", pack_row(grid, codes).hex())
for cols in (1, 4, 5, 13, 70):
    codes = example("ternary", cols, cols)
    print("trits", "|", *codes, "|", pack_trits(codes).hex())
