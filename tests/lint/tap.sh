# shellcheck shell=sh disable=SC2034
# Sourced by the lints: each prints TAP. AX_SRCDIR is the tree, AX_BINDIR the
# build folder; both are set by make check.
src=$(cd "${AX_SRCDIR:-$(dirname "$0")/../..}" && pwd)
bin=${AX_BINDIR:-$src/build}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
n=0 failed=0

result() { # CODE NAME: one TAP line, with what $tmp/said holds if it failed
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then
        printf 'ok %d - %s\n' $n "$2"
    else
        printf 'not ok %d - %s\n' $n "$2"
        sed 's/^/# /' "$tmp/said"
        failed=1
    fi
}

passes() { # NAME COMMAND [ARG ...]: the command succeeds
    name=$1
    shift
    code=0
    "$@" >"$tmp/said" 2>&1 </dev/null || code=$?
    result $code "$name"
}

# A planted fault: the command ends with 1 and says the words. Any other exit
# is no finding but a broken check.
finds() { # NAME WORDS COMMAND [ARG ...]
    name=$1 words=$2
    shift 2
    code=0
    "$@" >"$tmp/said" 2>&1 </dev/null || code=$?
    good=1
    if [ $code -eq 1 ] && grep -qF -e "$words" "$tmp/said"; then
        good=0
    else
        echo "exit $code, wanted 1 and: $words" >>"$tmp/said"
    fi
    result $good "finds $name"
}

skips() { # NAME WHY
    n=$((n + 1))
    printf 'ok %d # SKIP %s: %s\n' $n "$1" "$2"
}

# A tree of one's own to plant faults in, with the folders named.
copy() { # FOLDER ...
    rm -rf "$tmp/tree"
    mkdir "$tmp/tree"
    for f; do
        mkdir -p "$tmp/tree/$(dirname "$f")"
        cp -R "$src/$f" "$tmp/tree/$f"
    done
    chmod -R u+w "$tmp/tree"
    tree=$tmp/tree
}

plant() { # FILE LINE: append, making the file if need be
    mkdir -p "$tree/$(dirname "$1")"
    printf '%s\n' "$2" >>"$tree/$1"
}

finish() {
    echo "1..$n"
    exit $failed
}
