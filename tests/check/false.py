"""A certificate for a property of one group with one conjunction of one row:
input 0 is halved again and again. For properties that do not hold.

Usage: false.py MODEL.axm PROPERTY.vnnlib DEPTH >CERTIFICATE"""
import struct
import sys

from container import sha, varint

with open(sys.argv[1], 'rb') as f:
    model = f.read()
with open(sys.argv[2], 'rb') as f:
    text = f.read()
at = model.rindex(struct.pack('<II', 0x184D2A51, 40)) + 8
tree = b'\0'
for _ in range(int(sys.argv[3])):
    tree = b'\1' + tree + tree
sys.stdout.buffer.write(b'AXCT\2\1\0\0' + model[at:at + 32] + sha(text) +
                        b'\1' + tree)
