# ax: the wrapper.
load common

@test "ax NAME runs the command beside it" {
    run ax check --version
    [ "$output" = "$(ax-check --version)" ]
}

@test "ax NAME finds a command in PATH" {
    printf '#!/bin/sh\necho "own $1"; exit 3\n' >ax-own
    chmod +x ax-own
    PATH=$PATH:$PWD gives 3 "own --version" ax own --version
}

@test "ax refuses what is no command" {
    refuses 64 "no command is called 'bogus'" ax bogus
    refuses 64 "no command is called '../ax'" ax ../ax
    refuses 64 "unknown option '--bogus'" ax --bogus
}

@test "ax lists the commands" {
    gives 0 "$(ax)" ax --list
}

completes() { # WORD ...: what bash offers for the last word
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    _ax
    echo "${COMPREPLY[*]}"
}

@test "bash completes options and commands" {
    # shellcheck source=/dev/null
    source "$AX_BINDIR/completions/bash/ax"
    touch checks
    [ "$(completes ax --li)" = --list ]
    [ "$(completes ax che)" = check ]
}
