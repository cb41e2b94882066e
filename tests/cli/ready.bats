# ax-prove: ready-made properties, against what a fine grid says.
load common

# net [SEED]: a small random network of 2 inputs and 3 outputs.
net() { # FILE SEED
    printf 'input 2\ndense 6\nrelu\ndense 3\n' >n.arch
    printf '1,0,0\n0,1,1\n0.5,0.5,2\n' >n.csv
    ax-train -d n.csv --epochs 1 --seed "$2" -o "$1" n.arch
}

box() {
    printf 'lo,hi\n-1, 1.0\n-0.5,5e-1\n' >box.csv
}

# The outputs on a grid over the box: grid.o.csv, a row for each point, in
# which the first input varies fastest.
grid() { # MODEL FILE
    python3 -c '
for j in range(41):
    for i in range(41):
        print("%r,%r" % (-1 + i / 20, -0.5 + j / 40))' >grid.csv
    ax-run -o "$2" "$1" grid.csv
}

# A figure of grid outputs, by an expression of y[j][i][k] and max, min.
figure() { # EXPRESSION FILE...
    python3 - "$@" <<'PY'
import sys
def rows(path):
    r = [[float(v) for v in l.split(",")] for l in open(path)
         if l[:1] in "-0123456789"]
    assert len(r) == 1681, len(r)
    return [r[41 * j:41 * j + 41] for j in range(41)]
y, *z = [rows(p) for p in sys.argv[2:]]
z = z[0] if z else y
P = [(j, i) for j in range(41) for i in range(41)]
Q = [(j, i, h) for j in range(41) for i in range(41) for h in range(i + 1, 41)]
print("%.6f" % eval(sys.argv[1]))
PY
}

plus() { # A B: their sum
    python3 -c 'import sys; print("%.6f" % (float(sys.argv[1]) + float(sys.argv[2])))' "$1" "$2"
}

# The verdict, and what ax-check says of its evidence.
proves() { # PROPERTY MODEL
    ax-prove --cert -o c.axm -p "$1" "$2" >said || {
        echo "$1: $(cat said)"
        return 1
    }
    run -0 ax-check c.axm
    [[ $output == "accepted: holds, ${1%%:*}.vnnlib, "* ]]
}

violates() { # PROPERTY MODEL
    local code=0
    ax-prove --cert -o c.axm -p "$1" "$2" >said || code=$?
    [ "$code" -eq 1 ] || {
        echo "$1: $(cat said)"
        return 1
    }
    run -0 ax-check c.axm
    [[ $output == "accepted: violated, ${1%%:*}.vnnlib"* ]]
}

@test "bounds: and reach: agree with a grid, on both sides" {
    box
    for seed in 1 2 3; do
        net n.axm "$seed"
        grid n.axm grid.o.csv
        for k in 0 2; do
            hi=$(figure "max(y[j][i][$k] for j, i in P)" grid.o.csv)
            lo=$(figure "min(y[j][i][$k] for j, i in P)" grid.o.csv)
            near=$(plus "$hi" 0.03) below=$(plus "$hi" -0.001)
            low=$(plus "$lo" -0.03)
            proves "bounds:box.csv,lo=$low,hi=$near,output=$k" n.axm
            violates "bounds:box.csv,hi=$below,output=$k" n.axm
            violates "bounds:box.csv,lo=$(plus "$lo" 0.001),output=$k" n.axm
            proves "reach:box.csv,lo=$near,output=$k" n.axm
            violates "reach:box.csv,lo=$below,output=$k" n.axm
        done
    done
    # Ends for each output, from a file; a ball instead of a box.
    printf -- '-9,9\n-inf,9\n-9,inf\n' >ends.csv
    proves "bounds:box.csv,outputs=ends.csv" n.axm
    printf '0.25,-0.125\n' >x.csv
    proves "bounds:x.csv,linf=0.1,min=-0.15,outputs=ends.csv" n.axm
    ax-prove --print-property -p "bounds:x.csv,linf=0.1,outputs=ends.csv" \
        n.axm >text
    grep -qx '(assert (>= X_0 0.15))' text
    grep -qx '(assert (<= X_1 -0.025))' text
    grep -qx '(assert (or (< Y_0 -9) (> Y_0 9) (> Y_1 9) (< Y_2 -9)))' text
}

@test "finite: no output is beyond float32" {
    box
    net n.axm 1
    proves finite:box.csv n.axm
    ax-prove --print-property -p finite:box.csv n.axm >text
    python3 - <<'PY'
import re
line = open("text").read().splitlines()[-1]
n = set(map(int, re.findall(r"(?<= )-?\d{20,}(?=\))", line)))
assert n == {(2**24 - 1) * 2**104, -(2**24 - 1) * 2**104}, n
assert line.count("Y_") == 6
PY
    refuses 64 "finite: knows linf=, min=, max=, not 'lo=1'" \
        ax-prove -p finite:box.csv,lo=1 n.axm
    ax-prove --print-property -p bounds:box.csv,hi=1e38,output=0 n.axm |
        grep -qx '(assert (or (> Y_0 100000000000000000000000000000000000000)))'
}

@test "a box may be a csv, an npy or an npz, of exact numbers" {
    net n.axm 1
    python3 - <<'PY'
import struct
def npy(shape, values):
    h = "{'descr': '<f8', 'fortran_order': False, 'shape': %s, }" % (shape,)
    h += " " * (-(len(h) + 11) % 64) + "\n"
    return (b"\x93NUMPY\x01\x00" + struct.pack("<H", len(h)) + h.encode() +
            struct.pack("<%dd" % len(values), *values))
open("box.npy", "wb").write(npy("(2, 1, 2)", [-1.1, -0.5, 0.1, 5e-324]))
import zipfile
with zipfile.ZipFile("box.npz", "w") as z:
    z.writestr("hi.npy", npy("(2,)", [0.1, 5e-324]))
    z.writestr("lo.npy", npy("(1, 2)", [-1.1, -0.5]))
PY
    for f in box.npy box.npz; do
        ax-prove --print-property -p "bounds:$f,hi=1" n.axm >$f.txt
    done
    cmp box.npy.txt box.npz.txt
    python3 - <<'PY'
import re
from fractions import Fraction as F
text = open("box.npy.txt").read()
for i, (lo, hi) in enumerate([(-1.1, 0.1), (-0.5, 5e-324)]):
    assert F(re.findall(r"\(>= X_%d ([^)]+)\)" % i, text)[0]) == F(lo)
    assert F(re.findall(r"\(<= X_%d ([^)]+)\)" % i, text)[0]) == F(hi)
PY
    n=$(printf '0.%0500d1' 0)
    printf -- '-1,%s\r\n\n 0 , 0.000' "$n" >long.csv
    ax-prove --print-property -p "bounds:long.csv,hi=1" n.axm >long.txt
    grep -qx "(assert (<= X_0 $n))" long.txt
    grep -qx "(assert (<= X_1 0))" long.txt
    for bad in '1,2' '1,2\n2,1' '1,2\n3,x' '1,2\n3' '1,2,3\n1,2' \
        '1,2\n1,2\n1,2' '1,2\ninf,3'; do
        # shellcheck disable=SC2059
        printf "$bad\n" >bad.csv
        refuses 65 "bad.csv" ax-prove -p bounds:bad.csv,hi=1 n.axm
    done
    printf '1,2\n-inf,3\n' >open.csv
    refuses 64 "input 1 has no lower end" \
        ax-prove -p bounds:open.csv,hi=1 n.axm
}

@test "fair: one input is free, and the class stays" {
    net n.axm 2
    printf '0.125,-0.25\n' >x.csv
    ax-prove --print-property -p fair:x.csv,input=1,from=-3e-1,to=0.5 n.axm \
        >text
    grep -qx '(assert (>= X_0 0.125))' text
    grep -qx '(assert (<= X_0 0.125))' text
    grep -qx '(assert (>= X_1 -0.3))' text
    grep -qx '(assert (<= X_1 0.5))' text
    # Along the line, does the class that it has at x stay?
    for range in "-0.26 -0.24" "-8 8" "-1 0.5" "-20 20"; do
        read -r from to <<<"$range"
        python3 -c 'import sys
a, b = map(float, sys.argv[1:])
print("0.125,-0.25")
for i in range(2001):
    print("0.125,%r" % (a + (b - a) * i / 2000))' "$from" "$to" >line.csv
        ax-run -o line.o.csv n.axm line.csv
        stays=$(python3 -c '
r = [[float(v) for v in l.split(",")] for l in open("line.o.csv")
     if l[:1] in "-0123456789"]
assert len(r) == 2002
c = [max(range(3), key=v.__getitem__) for v in r]
print(len(set(c)) == 1)')
        if [ "$stays" = True ]; then
            proves "fair:x.csv,input=1,from=$from,to=$to" n.axm
        else
            violates "fair:x.csv,input=1,from=$from,to=$to" n.axm
        fi
    done
}

@test "monotone: and lipschitz: agree with a grid" {
    box
    for seed in 1 4; do
        net n.axm "$seed"
        grid n.axm grid.o.csv
        # How far output 1 falls at most when input 0 grows.
        falls=$(figure "max([0] + [y[j][i][1] - y[j][h][1] for j, i, h in Q])" \
            grid.o.csv)
        proves "monotone:box.csv,input=0,output=1,tol=$(plus "$falls" 0.1)" \
            n.axm
        up=$(figure "max([0] + [y[j][h][1] - y[j][i][1] for j, i, h in Q])" \
            grid.o.csv)
        proves "monotone:box.csv,input=0,output=1,tol=$(plus "$up" 0.1),way=down" \
            n.axm
        # One of the two is there to be found.
        [[ $falls != 0.00* || $up != 0.00* ]]
        steep=$(figure "max(abs(y[j][h][1] - y[j][i][1]) / ((h - i) / 20)
                            for j, i, h in Q)" grid.o.csv)
        for way in "up $falls" "down $up"; do
            read -r way most <<<"$way"
            [[ $most == 0.00* ]] ||
                violates "monotone:box.csv,input=0,output=1,tol=$(plus "$most" -0.005),way=$way" \
                    n.axm
        done
        proves "lipschitz:box.csv,input=0,output=1,l=$(plus "$steep" 0.05),tol=0.1" \
            n.axm
        violates "lipschitz:box.csv,input=0,output=1,l=$(plus "$steep" -0.05),tol=0.0001" \
            n.axm
    done
}

@test "equivalent: the greatest difference of two networks" {
    box
    net a.axm 1
    net b.axm 2
    grid a.axm a.o.csv
    grid b.axm b.o.csv
    d=$(figure "max(abs(y[j][i][k] - z[j][i][k]) for j, i in P
                    for k in range(3))" a.o.csv b.o.csv)
    proves "equivalent:box.csv,other=b.axm,eps=$(plus "$d" 0.1)" a.axm
    violates "equivalent:box.csv,other=b.axm,eps=$(plus "$d" -0.001)" a.axm
    # The product is a network of its own, and made again is the same.
    ax-prove --print-model -o p.axm \
        -p "equivalent:box.csv,other=b.axm,eps=1" a.axm
    ax-run -o p.o.csv p.axm grid.csv
    e=$(figure "max(abs(v) for r in y for p in r for v in p)" p.o.csv)
    [ "$(plus "$e" 0)" = "$(plus "$d" 0)" ]
    [ "$(ax-show p.axm | grep '^identity')" = \
        "$(ax-show c.axm | grep '^identity')" ]
    [ "$(ax-show c.axm | grep '^identity')" != \
        "$(ax-show a.axm | grep '^identity')" ]
    # The property names nothing but that network.
    ax-prove --print-property -p "equivalent:box.csv,other=b.axm,eps=3" \
        a.axm >p.vnnlib
    run -0 ax-prove --check --cert -o q.axm -p p.vnnlib p.axm
    run -0 ax-check q.axm
    printf 'input 3\ndense 3\n' >three.arch
    printf '1,0,0,0\n0,1,1,1\n' >three.csv
    ax-train -d three.csv --epochs 1 -o three.axm three.arch
    refuses 65 "elements" ax-prove \
        -p "equivalent:box.csv,other=three.axm,eps=1" a.axm
    printf 'input 2\ndense 1\n' >one.arch
    printf '1,0,0\n' >one.csv
    ax-train -d one.csv --epochs 1 --loss mse -o one.axm one.arch
    refuses 65 "outputs" ax-prove \
        -p "equivalent:box.csv,other=one.axm,eps=1" a.axm
    refuses 66 "none.axm" ax-prove \
        -p "equivalent:box.csv,other=none.axm,eps=1" a.axm
}

@test "words of ready-made properties are checked" {
    box
    net n.axm 1
    refuses 64 "bounds: wants FILE,lo=" ax-prove -p bounds:box.csv n.axm
    refuses 64 "bounds: wants" ax-prove -p bounds: n.axm
    refuses 64 "bounds: knows linf=, min=, max=, output=, lo=, hi=, outputs=, not 'tol=1'" \
        ax-prove -p bounds:box.csv,tol=1 n.axm
    refuses 64 "not '1x'" ax-prove -p bounds:box.csv,lo=1x n.axm
    refuses 64 "2 is above 1" ax-prove -p bounds:box.csv,lo=2,hi=1 n.axm
    refuses 64 "below 3" ax-prove -p bounds:box.csv,lo=2,output=3 n.axm
    refuses 64 "outputs= goes without" ax-prove \
        -p bounds:box.csv,outputs=box.csv,lo=1 n.axm
    refuses 64 "or a box and label=" ax-prove -p robust:box.csv n.axm
    refuses 64 "go with linf=" ax-prove -p bounds:box.csv,min=0,lo=1 n.axm
    refuses 64 "fair: wants FILE,input=" ax-prove -p fair:x.csv,input=0 n.axm
    refuses 64 "tol= wants a number above 0" ax-prove \
        -p monotone:box.csv,input=0,output=1,tol=0 n.axm
    refuses 64 "way= wants up or down" ax-prove \
        -p monotone:box.csv,input=0,output=1,tol=1,way=left n.axm
    refuses 64 "input= wants a number below 2" ax-prove \
        -p monotone:box.csv,input=2,output=1,tol=1 n.axm
    refuses 64 "l= wants a number from 0 on" ax-prove \
        -p lipschitz:box.csv,input=1,l=-1,tol=1 n.axm
    refuses 64 "eps= wants" ax-prove \
        -p equivalent:box.csv,other=n.axm,eps=-1 n.axm
    refuses 66 "else:box.csv" ax-prove -p else:box.csv n.axm
    run -0 ax-prove -p "robust:box.csv,label=0" --print-property n.axm
    [[ $output == *"(assert (or (<= Y_0 Y_1) (<= Y_0 Y_2)))" ]]
}
