"""A reader of safetensors files that knows their description and nothing of Tensorvisor: prints the tensors as JSON, or what is wrong.

usage: read_safetensors.py FILE

Format: https://github.com/huggingface/safetensors#format. Only Python's own modules.
"""
import json
import struct
import sys

# Bytes an element, and struct's letter for the types that it knows.
DTYPES = {
    "BOOL": (1, "?"), "U8": (1, "B"), "I8": (1, "b"), "F8_E5M2": (1, None), "F8_E4M3": (1, None),
    "U16": (2, "H"), "I16": (2, "h"), "F16": (2, "e"), "BF16": (2, None),
    "U32": (4, "I"), "I32": (4, "i"), "F32": (4, "f"),
    "U64": (8, "Q"), "I64": (8, "q"), "F64": (8, "d"), "C64": (8, None),
}


def unique(pairs):
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), f"a key stands twice: {names}"
    return dict(pairs)


def read(path):
    with open(path, "rb") as file:
        content = file.read()
    assert len(content) >= 8, "no header length"
    (length,) = struct.unpack("<Q", content[:8])
    assert length <= 100_000_000 and 8 + length <= len(content), f"the header has {length} bytes, the file {len(content)}"
    text = content[8:8 + length].decode("utf-8")
    assert text.startswith("{"), "the header does not begin with {"
    header = json.loads(text, object_pairs_hook=unique)
    data = content[8 + length:]
    metadata = header.pop("__metadata__", {})
    assert all(isinstance(value, str) for value in metadata.values()), "metadata that is no text"
    tensors, covered = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        assert sorted(entry) == ["data_offsets", "dtype", "shape"], f"{name} has {sorted(entry)}"
        width, letter = DTYPES[entry["dtype"]]
        count = 1
        for extent in entry["shape"]:
            assert isinstance(extent, int) and extent >= 0, f"{name} has the shape {entry['shape']}"
            count *= extent
        begin, end = entry["data_offsets"]
        assert begin == covered, f"{name} begins at {begin}, not at {covered}: a hole, or an overlap"
        assert end - begin == count * width, f"{name} has {end - begin} bytes for {count} elements of {width}"
        assert begin % width == 0, f"{name} is not aligned"
        covered = end
        raw = data[begin:end]
        values = list(struct.unpack(f"<{count}{letter}", raw)) if letter else None
        tensors[name] = {"dtype": entry["dtype"], "shape": entry["shape"], "hex": raw.hex(), "values": values}
    assert covered == len(data), f"{len(data) - covered} bytes belong to no tensor"
    return tensors


if __name__ == "__main__":
    try:
        print(json.dumps(read(sys.argv[1])))
    except (AssertionError, KeyError, ValueError, struct.error) as error:
        print(f"{sys.argv[1]}: {error!r}", file=sys.stderr)
        sys.exit(1)
