#!/bin/sh
# The checker against the fixtures of tests/check/gen.py: each verdict, and
# the same whatever the number of threads. NAME-yes and NAME-no lie on either
# side of acceptance. Prints TAP.
set -u
src=${AX_SRCDIR:?} check=${AX_BINDIR:?}/ax-check
n=0
bad=0

ok() { # NAME COMMAND...
    name=$1
    shift
    n=$((n + 1))
    if "$@"; then
        echo "ok $n - $name"
    else
        echo "not ok $n - $name"
        bad=1
    fi
}

verdict() { # FILE CODE
    out=$("$check" --threads 1 "$1" 2>&1)
    code=$?
    [ "$code" = "$2" ] || {
        echo "# exit $code, not $2: $out"
        return 1
    }
    [ "$out" = "$("$check" --threads 7 "$1" 2>&1)" ]
}

for f in "$src"/tests/check/fixtures/*.axm; do
    case $f in
    *-yes.axm) code=0 ;;
    *) code=1 ;;
    esac
    ok "$(basename "$f")" verdict "$f" $code
done
echo "1..$n"
exit $bad
