# ax-prove reconcile: statuses are what assistants really said. Assistants are
# shell scripts here; scripts/test-coq and the last tests have real ones.
load common

# A folder with a theorem and a question, and no assistants.
prepare() {
    ax-import -o a.axm "$root/tests/coq/tiny.onnx"
    mkdir ob bin
    ax-export --to smtlib -p "$root/tests/coq/tiny.vnnlib" -o ob/q.smt2 a.axm
    # Nothing but the tools that the scripts need.
    for t in sh cat touch sleep; do
        ln -s "$(command -v $t)" bin/$t
    done
    assistants=$PWD/bin
}

ax-prove() { PATH=$AX_BINDIR:$assistants command ax-prove "$@"; }

theorem() {
    ax-export --to coq -p "$root/tests/coq/tiny.vnnlib" \
        -o ob/Claim.v a.axm
    rm -f ob/q.smt2
    jq 'del(.obligations[] | select(.file == "q.smt2"))' >m \
        <ob/ax-manifest.json
    mv m ob/ax-manifest.json
}

fake() { # PROGRAM: what it does with a file is on standard input
    {
        echo '#!/bin/sh'
        echo '[ "$1" != --version ] || { echo "fake 1"; exit 0; }'
        cat
    } >"bin/$1"
    chmod +x "bin/$1"
}

# Make the manifest believe in the file as it is now.
stamp() { # FILE
    local sum
    sum=$(sha256sum "ob/$1")
    jq --arg f "$1" --arg d "${sum%% *}" \
        '(.obligations[] | select(.file == $f) | .sha256) = $d' \
        <ob/ax-manifest.json >m
    mv m ob/ax-manifest.json
}

gets() { # EXIT STATUS REASON
    run --separate-stderr ax-prove reconcile ob
    if [ "$status" -ne "$1" ] || [[ $output != "$2 "*"$3"* ]] ||
        [ "$(jq -r '.obligations[0].status' <ob/ax-manifest.json)" != "$2" ]; then
        printf 'exit %s, not %s\n%s\n%s\nnot %s: %s\n' "$status" "$1" \
            "$output" "$stderr" "$2" "$3"
        return 1
    fi
}

@test "who is not installed has not run" {
    prepare
    gets 2 "not run" "cvc5 is not installed"
    theorem
    gets 2 "not run" "coqc is not installed"
}

@test "an answer of one solver is enough, if none contradicts it" {
    prepare
    fake cvc5 <<<'echo unsat'
    gets 0 proved "fake 1"
    fake z3 <<<'echo unknown'
    gets 0 proved "it says unknown"
    fake z3 <<<'echo sat'
    gets 1 failed "the property is violated"
    ax-prove reconcile --json ob >said || [ $? -eq 1 ]
    [ "$(jq -c '[.schema, .proved, .failed, .not_run, .obligations[0].runs[1].status]' <said)" = \
        '["ax-prove-reconcile/1",0,1,0,"failed"]' ]
}

@test "an answer counts only if it is whole and alone" {
    prepare
    fake cvc5 <<<'printf "unsat\n(error \"line 1\")\n"'
    gets 1 failed "(error"
    fake cvc5 <<<'printf "(error \"line 1\")\nunsat\n"'
    gets 1 failed "(error"
    fake cvc5 <<<'echo unsat; exit 1'
    gets 1 failed "exit 1"
    fake cvc5 <<<'echo unsat; echo "assertion failed" >&2'
    gets 1 failed "assertion failed"
    fake cvc5 <<<'echo "this is proved: unsat"'
    gets 1 failed "alone"
    fake cvc5 <<<'printf "unsat\n\nunsat\n"'
    gets 1 failed "alone"
    fake cvc5 <<<'printf unsat'
    gets 1 failed "alone"
    fake cvc5 <<<'echo unsat; kill -9 $$'
    gets 1 failed "signal 9"
    fake cvc5 <<<'while :; do echo unsat; done'
    gets 1 failed "too much"
}

@test "what takes too long has not run" {
    prepare
    fake cvc5 <<<'echo unsat; sleep 1000'
    run --separate-stderr ax-prove reconcile -t 1 ob
    [ "$status" -eq 2 ]
    [[ $output = "not run "*"no answer within 1 s"* ]]
}

# Is there a process that was started like this? Not the one that looks.
lives() { # WORDS
    cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' |
        grep -q "[${1:0:1}]${1:1}"
}

@test "nothing of an assistant outlives it, in whatever session" {
    prepare
    ln -s "$(command -v setsid)" bin/setsid
    mark=9$BASHPID.5
    # Each writes nowhere, so nobody waits for it to close its output.
    fake cvc5 <<END
setsid setsid sleep $mark </dev/null >/dev/null 2>&1 &
setsid sh -c 'sleep $mark & sleep $mark' </dev/null >/dev/null 2>&1 &
sleep 0.2
setsid sh -c 'exec 3<>/dev/null; while :; do sleep $mark; done' >/dev/null 2>&1 &
echo unsat
END
    gets 0 proved ""
    lives "sleep $mark" && return 1
    fake cvc5 <<END
setsid sleep $mark &
sleep $mark
END
    run --separate-stderr ax-prove reconcile -t 1 ob
    [ "$status" -eq 2 ]
    [[ $output = "not run "*"no answer within 1 s"* ]]
    lives "sleep $mark" && return 1
    # The test can fail.
    sleep "$mark" &
    lives "sleep $mark"
    kill $!
}

@test "an assistant writes nowhere but in its own folder" {
    prepare
    code=0
    AX_SANDBOX=require ax-prove reconcile ob >/dev/null 2>&1 || code=$?
    [ "$code" -ne 69 ] || skip "the kernel has no sandbox"
    [ "$AX_SANDBOX" != off ] || skip "AX_SANDBOX=off"
    fake cvc5 <<END
touch question/mine && echo unsat
touch "$PWD/ob/evil" 2>/dev/null
echo x 2>/dev/null >>"$PWD/ob/q.smt2"
echo x 2>/dev/null >>"$PWD/ob/ax-manifest.json"
exit 0
END
    gets 0 proved ""
    [ ! -e ob/evil ]
    gets 0 proved ""
}

@test "questions that were changed" {
    prepare
    fake cvc5 <<<'echo unsat'
    echo >>ob/q.smt2
    gets 1 failed "digest"
    stamp q.smt2
    gets 0 proved ""
    cp ob/q.smt2 good
    for line in '(echo "unsat")' '(set-option :regular-output-channel "x")' \
        '(include "x")' '(push 1)' 'unsat' '(check-sat)' '(assert (= "' \
        '(assert |' '(assert (= 1 1)'; do
        { echo "$line"; cat good; } >ob/q.smt2
        stamp q.smt2
        gets 1 failed "line"
    done
    { cat good; echo '(assert false)'; } >ob/q.smt2
    stamp q.smt2
    gets 1 failed "behind the question"
    { echo '; (echo "x")'; cat good; } >ob/q.smt2
    stamp q.smt2
    gets 0 proved ""
}

@test "theorems with what makes them worthless" {
    prepare
    theorem
    cp ob/Claim.v good
    while IFS= read -r line; do
        { cat good; printf '%s\n' "$line"; } >ob/Claim.v
        stamp Claim.v
        gets 1 failed "line" || { echo "passed: $line"; return 1; }
    done <<'END'
Theorem x : False. Proof. Admitted.
Theorem x : False. Proof. apply admit. Qed.
Theorem x : False. Proof. (* Qed. *) admit. Qed.
Axiom x : False.
(* a *) Parameter x : False.
Hypothesis x : False.
Variable x : False.
Conjecture x : False.
Unset Guard Checking.
Unset Positivity Checking.
Unset Universe Checking.
#[bypass_check(guard)] Fixpoint f (n : nat) : False := f n.
Definition x := 1. #[bypass_check(universes)] Definition y := Type.
Declare ML Module "x".
Redirect "x" Print nat.
Load "x".
From Coq Require Import Extraction.
Require Import Extraction.
Extraction "x.ml" nat.
Definition x : False := ltac:(admit).
Notation "x" := 1.
Set Universe Polymorphism.
(* "(*" *) Axiom x : False.
(* (* *) Axiom x : False.
Theorem x : False. Proof using x. Qed.
Definition x := "a string".
END
    { cat good; echo '(* Axiom (* "*)" *) Admitted. *)'; } >ob/Claim.v
    stamp Claim.v
    gets 2 "not run" "coqc is not installed"
    sed -i 's/"library": "./"library": "z/' ob/ax-manifest.json
    refuses 65 "'library' of obligation 1" ax-prove reconcile ob
}

@test "coqc that says it is well, with an error" {
    prepare
    theorem
    fake coqc <<<'echo "Error: this is proved" >&2; exit 0'
    gets 2 "not run" "the library is not compiled"
    fake coqc <<'END'
case $* in
*Claim.v*) echo 'Error: "proved"' >&2 ;;
esac
exit 0
END
    gets 1 failed "exit 0, but"
    fake coqc <<'END'
case $* in
*question*) echo proved ;;
esac
exit 0
END
    gets 1 failed "does not say what is assumed"
    fake coqc <<'END'
case $* in
*question*) printf 'Axioms:\nPrimInt63.int : Set\nx\n  : False\n' ;;
esac
exit 0
END
    gets 1 failed "it assumes x"
    fake coqc <<'END'
case $* in
*question*) echo 'Closed under the global context' ;;
esac
exit 0
END
    gets 2 "not run" "coqchk is not installed"
    fake coqchk <<<'exit 0'
    gets 1 failed "coqchk does not say"
}

@test "links and paths that lead out of the folder" {
    prepare
    fake cvc5 <<<'echo unsat'
    mv ob/q.smt2 q.smt2
    gets 1 failed "No such file"
    ln -s ../q.smt2 ob/q.smt2
    gets 1 failed "link"
    rm ob/q.smt2
    mkdir ob/q.smt2
    gets 1 failed "no file"
    for name in ../q.smt2 /tmp/q.smt2 . q.txt .q.smt2 'q/q.smt2' 'q..smt2/../x.smt2'; do
        jq --arg n "$name" '.obligations[0].file = $n' \
            <ob/ax-manifest.json >bad
        cp bad ob/ax-manifest.json
        refuses 65 "ax-manifest.json: 'file' of obligation 1" \
            ax-prove reconcile ob
        cmp bad ob/ax-manifest.json
    done
    mv ob/ax-manifest.json m
    ln -s ../m ob/ax-manifest.json
    refuses 66 "ax-manifest.json" ax-prove reconcile ob
}

@test "manifests that are none" {
    prepare
    cp ob/ax-manifest.json good
    refuses 64 "wants one folder" ax-prove reconcile
    refuses 64 "--json, --time and --memory alone" \
        ax-prove reconcile --cert ob
    refuses 66 "none" ax-prove reconcile none
    refuses 66 "ax-manifest.json" ax-prove reconcile bin
    for change in '.format = "ax.manifest.v2"' '.more = 1' 'del(.tool)' \
        '.obligations[0].status = "ok"' '.obligations = {}' \
        '.obligations += .obligations' '.obligations[0].claim = 1' \
        '.obligations[0].runs = [1]' '.obligations[0].assistant = "coq"'; do
        jq "$change" <good >ob/ax-manifest.json
        refuses 65 "ax-manifest.json: " ax-prove reconcile ob
        refuses 65 "ax-manifest.json: " ax-export --to smtlib \
            -p "$root/tests/coq/tiny.vnnlib" -o ob/r.smt2 a.axm
    done
    printf '{"format": 1, "format": 2}' >ob/ax-manifest.json
    refuses 65 "ax-manifest.json: line 1" ax-prove reconcile ob
}

@test "a manifest has one spelling, and an obligation one place" {
    prepare
    p=$root/tests/coq/tiny.vnnlib
    cp ob/ax-manifest.json one
    ax-export --to smtlib -p "$p" -o ob/q.smt2 a.axm
    cmp one ob/ax-manifest.json
    ax-export --to smtlib -p "$p" -o ob/b.smt2 a.axm
    [ "$(jq -c '[.obligations[].file]' <ob/ax-manifest.json)" = \
        '["b.smt2","q.smt2"]' ]
    jq -S --indent 1 . <ob/ax-manifest.json >sorted
    cmp sorted ob/ax-manifest.json
    refuses 64 "Claim.v" ax-export --to coq -p "$p" -o ob/my-claim.v a.axm
    refuses 64 "claim.smt2" ax-export --to smtlib -p "$p" -o ob/x.txt a.axm
    [ ! -e ob/x.txt ]
}

@test "with the real solvers" {
    command -v cvc5 >/dev/null && command -v z3 >/dev/null ||
        skip "no cvc5 and z3"
    prepare
    assistants=$PATH
    sed 's/2.75/-0.4/' "$root/tests/coq/tiny.vnnlib" >v.vnnlib
    ax-export --to smtlib -p v.vnnlib -o ob/v.smt2 a.axm
    ax-prove reconcile --json ob >said
    [ "$(jq -c '[.proved, .failed, .not_run]' <said)" = '[2,0,0]' ]
    sed -i 's/:status unsat/:status sat/' ob/q.smt2
    stamp q.smt2
    run ax-prove reconcile ob
    [ "$status" -eq 1 ]
}

@test "reconcile takes no option that means nothing there" {
    prepare
    for o in "-p x" --cert "-o x" "--list x" "-j 1" "--seed 0" "--seed 1" \
        "--halvings 10" "--network a=b" "--strategy auto" "--max-boxes 1"; do
        # shellcheck disable=SC2086
        refuses 64 "reconcile takes --json, --time and --memory alone" \
            ax-prove reconcile $o ob
    done
}
