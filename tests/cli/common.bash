# What every command test starts with: load common
#
# AX_BINDIR is the folder of the built programs (make check sets it; by hand:
# AX_BINDIR=build bats tests/cli). AX_SHARED is a folder of networks and
# properties that is not part of the sources: a test that needs it calls
# need_shared FILE first, and is skipped, by name, where it is absent.
# Each test runs in an empty folder of its own, with the C locale.

bats_require_minimum_version 1.5.0

root=$(cd "$BATS_TEST_DIRNAME" && while [ ! -e configure.ac ]; do cd ..; done && pwd)

setup() {
    AX_BINDIR=$(cd "${AX_BINDIR:-$root/build}" && pwd)
    AX_SHARED=${AX_SHARED:-$root/../shared}
    [ ! -d "$AX_SHARED" ] || AX_SHARED=$(cd "$AX_SHARED" && pwd)
    PATH=$AX_BINDIR:$PATH
    LC_ALL=C
    unset CI
    # Where the kernel has no sandbox, its absence is not news to every test.
    AX_SANDBOX=${AX_SANDBOX:-quiet}
    export AX_BINDIR AX_SANDBOX AX_SHARED PATH LC_ALL
    cd "$BATS_TEST_TMPDIR" || exit 1
}

# Skip unless the shared file is there; sets $shared to its path.
need_shared() { # FILE
    shared=$AX_SHARED/$1
    [ -e "$shared" ] || skip "AX_SHARED has no $1: $AX_SHARED"
}

# Run and compare: exit code, and standard output if it is given.
gives() { # CODE STDOUT COMMAND [ARG ...]
    local code=$1 out=$2
    shift 2
    run --separate-stderr "$@"
    if [ "$status" -ne "$code" ]; then
        printf '%s: exit %s, not %s\n%s\n' "$*" "$status" "$code" "$stderr"
        return 1
    fi
    [ "$output" = "$out" ] || {
        printf '%s: printed\n%s\nnot\n%s\n' "$*" "$output" "$out"
        return 1
    }
}

# Run and expect failure: exit code, nothing on standard output, and one line
# on standard error that has the words in it.
refuses() { # CODE WORDS COMMAND [ARG ...]
    local code=$1 words=$2
    shift 2
    run --separate-stderr "$@"
    if [ "$status" -ne "$code" ] || [ -n "$output" ]; then
        printf '%s: exit %s, not %s\n%s\n%s\n' "$*" "$status" "$code" \
            "$output" "$stderr"
        return 1
    fi
    case ${stderr_lines[0]} in
    *"$words"*) ;;
    *)
        printf '%s: said\n%s\nnot\n%s\n' "$*" "$stderr" "$words"
        return 1
        ;;
    esac
    # Wrong usage also shows the right one.
    [ "$code" -eq 64 ] || [ "${#stderr_lines[@]}" -eq 1 ] || {
        printf '%s: more than one line:\n%s\n' "$*" "$stderr"
        return 1
    }
}

# Skip unless allocations can be made to fail: not under a run-time of its own.
need_shim() {
    shim=$AX_BINDIR/tests/fault/.libs/nth.so
    [ -e "$shim" ] || skip "a sanitizer or gcov is in the way: no shim"
}

# Run a command once for each of its allocations, failing that one: it must
# succeed all the same or end with 75. Standard input is a file or nothing.
# Call need_shim before.
survives_no_memory() { # COMMAND [ARG ...]
    "$root/tests/fault/run" "$shim" "$@"
}
