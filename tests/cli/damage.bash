# What readers of files do with damaged ones: load damage, after common.

# Each beginning of FILE, in about STEPS steps, is a network or one line.
cut_short() { # FILE STEPS [OPTION ...]: options of ax-import
    local file=$1 size at
    size=$(wc -c <"$file")
    for at in $(seq 8 $((size / $2 + 1)) $((size - 1))); do
        head -c "$at" "$file" >short
        run ax-import "${@:3}" short -o short.axm
        [ "$status" -eq 65 ] || [ "$status" -eq 0 ]
        [ "$status" -eq 0 ] || [ "${#lines[@]}" -eq 1 ]
    done
}

# So is FILE with one to three bytes changed: any, or those that are not 0.
changed() { # any|used TIMES FILE ...
    python3 - "$@" <<'END'
import random, subprocess, sys
rnd = random.Random(5)
for name in sys.argv[3:]:
    data = open(name, 'rb').read()
    at = [i for i in range(8, len(data)) if data[i] or sys.argv[1] == 'any']
    for _ in range(int(sys.argv[2])):
        bad = bytearray(data)
        for _ in range(rnd.choice([1, 1, 3])):
            bad[rnd.choice(at)] = rnd.choice([0, 1, 255, rnd.randrange(256)])
        open('bad', 'wb').write(bad)
        r = subprocess.run(['ax-import', 'bad'], capture_output=True)
        assert r.returncode in (0, 65), (r.returncode, r.stderr)
        if r.returncode:
            assert r.stderr.count(b'\n') == 1, r.stderr
END
}
