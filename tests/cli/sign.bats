# ax-sign: what it signs verifies, also with minisign; nothing else does.
load common

sample() {
    "$AX_BINDIR/tests/unit/pack" zstd 3 2 property p.vnnlib '(assert)' >a.axm
}

@test "sign in a pipe, verify" {
    sample
    ax-sign keygen -W -o k >out
    grep -qE '^key [0-9A-F]{16}: k, k.pub$' out
    [ "$(stat -c %a k)" = 600 ]
    ax-sign -k k <a.axm >s.axm
    ax-sign verify -k k.pub s.axm >out
    grep -qE '^good signature of key [0-9A-F]{16}, k.pub$' out
    grep -q "^covered: model $(ax-show -i a.axm)$" out
    grep -q '^covered: property p.vnnlib ' out
    grep -q '^covered: provenance ax-sign ' out
    run ! grep -q '^not covered' out
    ax-sign verify --strict -k k.pub <s.axm
    # The same again gives the same bytes.
    ax-sign -k k <a.axm | cmp - s.axm
    # Where the output goes is not recorded, and no folder either.
    mkdir -p some/folder
    mv k some/folder/k
    for o in "-o x.axm" "-ox.axm" "--output x.axm" "--output=some/x.axm"; do
        # shellcheck disable=SC2086
        ax-sign $o -k some/folder/k <a.axm
        case $o in *some/*) cmp s.axm some/x.axm ;; *) cmp s.axm x.axm ;; esac
        [ "$(ax-show --json s.axm | grep -o '"arguments":[^]]*]')" = '"arguments":["-k","k"]' ]
    done
}

@test "what is appended after signing is not covered" {
    sample
    ax-sign keygen -W -o k
    ax-sign keygen -W -o other
    ax-sign -k k a.axm | ax-sign -k other >s.axm
    ax-sign verify -k k.pub s.axm >out
    grep -q '^not covered: provenance ax-sign ' out
    grep -q '^not covered: signature ' out
    refuses 1 "2 attachments are not covered" ax-sign verify --strict -k k.pub s.axm
    ax-sign verify --strict -k k.pub -k other.pub s.axm
    ax-sign verify --strict -k other.pub s.axm
}

@test "a folder of trusted keys" {
    sample
    ax-sign keygen -W -o k
    ax-sign keygen -W -o other
    mkdir trust
    ln -s ../k.pub trust/release.pub
    cp other.pub trust/
    : >trust/README
    ax-sign -k k a.axm >s.axm
    ax-sign verify --trust trust s.axm | grep -q trust/release.pub
    rm trust/release.pub
    refuses 1 "no signature is of a trusted key" ax-sign verify --trust trust s.axm
    echo junk >trust/junk.pub
    refuses 65 "trust/junk.pub" ax-sign verify --trust trust s.axm
    mkdir empty
    refuses 66 "no .pub file" ax-sign verify --trust empty s.axm
    refuses 66 "none" ax-sign verify --trust none s.axm
}

@test "no signature, a wrong key, a tampered byte: exit 1 or 65, never 0" {
    sample
    ax-sign keygen -W -o k
    ax-sign keygen -W -o other
    refuses 1 "there is no signature" ax-sign verify -k k.pub a.axm
    ax-sign -k k a.axm >s.axm
    refuses 1 "no signature is of a trusted key" ax-sign verify -k other.pub s.axm
    gives 1 '' bash -c 'ax-sign verify --json -k other.pub s.axm | grep -v "\"good\":false"; exit ${PIPESTATUS[0]}'
    n=$(stat -c %s s.axm)
    for ((i = 0; i < n; i += 7)); do
        cp s.axm t.axm
        byte=$(od -An -tu1 -j$i -N1 t.axm)
        # shellcheck disable=SC2059
        printf "\\x$(printf %x $((byte ^ 16)))" | dd of=t.axm bs=1 seek=$i conv=notrunc 2>/dev/null
        code=0
        ax-sign verify -k k.pub t.axm >out 2>/dev/null || code=$?
        if [ $code -eq 0 ]; then
            # Bits of a zstd frame that mean nothing: the model is the same.
            cmp <(ax-show t.axm) <(ax-show s.axm)
        else
            [ $code -eq 1 ] || [ $code -eq 65 ]
            [ ! -s out ]
        fi
    done
}

@test "taking a covered attachment out is noticed" {
    sample
    ax-sign keygen -W -o k
    ax-sign -k k a.axm | ax-show --copy zstd --drop property >t.axm
    refuses 1 "is gone or was altered" ax-sign verify -k k.pub t.axm
}

@test "a signature of another model is refused" {
    sample
    "$AX_BINDIR/tests/unit/pack" zstd 5 2 >b.axm
    ax-sign keygen -W -o k
    ax-sign -k k a.axm >s.axm
    "$AX_BINDIR/tests/unit/pack" zstd 5 2 signature x "$(ax-show -x signature s.axm)" >t.axm
    refuses 1 "made for another model" ax-sign verify -k k.pub t.axm
}

@test "passphrases" {
    sample
    echo "correct horse" >pass
    printf 'wrong\n' >wrong
    ax-sign keygen --passphrase-file pass -o k
    ax-sign -k k --passphrase-file pass a.axm >s.axm
    P="correct horse" ax-sign -k k --passphrase-env P a.axm |
        ax-sign verify -k k.pub
    ax-sign verify -k k.pub s.axm
    refuses 65 "k: wrong passphrase, or the key is damaged" \
        ax-sign -k k --passphrase-file wrong a.axm
    refuses 64 "NONE is not set" ax-sign -k k --passphrase-env NONE a.axm
    refuses 64 "no terminal" setsid ax-sign -k k a.axm
    : >empty
    refuses 64 "is empty" ax-sign keygen --passphrase-file empty -o e
    [ ! -e e ] && [ ! -e e.pub ]
}

# Type LINE when the terminal shows PROMPT for the Nth time.
answer() { # N PROMPT LINE
    for ((i = 0; i < 600; i++)); do
        [ "$(grep -o "$2" screen | wc -l)" -ge "$1" ] && break
        sleep 0.05
    done
    echo "$3" >&7
}

@test "passphrases are asked for on the terminal, without echo" {
    command -v script >/dev/null || skip "there is no script"
    sample
    mkfifo keyboard
    : >screen
    script -qefc "ax-sign keygen -o k; ax-sign -k k a.axm -o s.axm" \
        /dev/null <keyboard >screen &
    exec 7>keyboard
    answer 1 "new key: " sesame
    answer 1 "once more: " sesame
    answer 1 "passphrase: " sesame
    wait $!
    exec 7>&-
    run ! grep -q sesame screen
    ax-sign verify --strict -k k.pub s.axm

    # The two do not agree; an interrupt.
    : >screen
    script -qefc "ax-sign keygen -o l; ax-sign keygen -o l" /dev/null \
        <keyboard >screen &
    exec 7>keyboard
    answer 1 "new key: " sesame
    answer 1 "once more: " Sesame
    answer 2 "new key: " "$(printf 'abc\003')"
    code=0
    wait $! || code=$?
    exec 7>&-
    [ "$code" -eq 64 ]
    grep -q "the passphrases differ" screen
    grep -q "no passphrase was given" screen
    [ ! -e l ] && [ ! -e l.pub ]
}

@test "keys are not overwritten, and secret ones are secret" {
    sample
    ax-sign keygen -W -o k
    cp k k.old
    refuses 64 "k" ax-sign keygen -W -o k
    cmp k k.old
    rm k
    refuses 64 "k.pub" ax-sign keygen -W -o k
    [ ! -e k ]
    cp k.old k
    chmod 644 k
    ax-sign keygen -W -o k --force
    run ! cmp -s k k.old
    [ "$(stat -c %a k)" = 600 ]
    ln -s nowhere l
    refuses 64 "l" ax-sign keygen -W -o l
    [ ! -e nowhere ]
    chmod 640 k
    refuses 64 "others may read this secret key (mode 0640)" ax-sign -k k a.axm
    ax-sign -f -k k a.axm >s.axm
    chmod 600 k
    ln -s k link
    ax-sign -k link a.axm | ax-sign verify --strict -k k.pub
    chmod 644 k
    refuses 64 "others may read" ax-sign -k link a.axm
    refuses 65 "k.pub" ax-sign -f -k k.pub a.axm
    refuses 65 "k" ax-sign verify -k k s.axm
    refuses 66 "none" ax-sign -k none a.axm
}

@test "detached signatures" {
    sample
    ax-sign keygen -W -o k
    ax-sign --detached -k k a.axm
    ax-sign verify --detached -k k.pub a.axm >out
    grep -q 'trusted comment: file:a.axm hashed' out
    ax-sign --detached -k k --comment "release 7" -o sig - <a.axm
    ax-sign verify --detached -k k.pub --signature sig - <a.axm | grep -q "release 7"
    ax-sign verify -k k.pub --signature sig a.axm | grep -q "release 7"
    refuses 64 "--strict is not for verify" ax-sign verify --strict -k k.pub --signature sig a.axm
    cp a.axm b.axm
    echo >>b.axm
    refuses 1 "not of these bytes" ax-sign verify --detached -k k.pub --signature sig b.axm
    sed -i 's/release 7/release 8/' sig
    refuses 1 "comment was not signed" ax-sign verify --detached -k k.pub --signature sig a.axm
    refuses 66 "b.axm.minisig" ax-sign verify --detached -k k.pub b.axm
    refuses 64 "standard input" ax-sign verify --detached -k k.pub - <a.axm
    ax-sign keygen -W -o other
    refuses 1 "not trusted" ax-sign verify --detached -k other.pub a.axm
}

need_minisign() {
    command -v minisign >/dev/null || skip "there is no minisign"
}

@test "minisign verifies ours and signs with our keys" {
    need_minisign
    sample
    ax-sign keygen -W -o k
    ax-sign --detached -k k a.axm
    minisign -V -p k.pub -m a.axm
    echo hello >f
    minisign -S -s k -m f -t "by minisign" </dev/null
    ax-sign verify --detached -k k.pub f | grep -q "by minisign"
    echo >>a.axm
    run ! minisign -V -p k.pub -m a.axm
}

@test "minisign opens our keys with their passphrase" {
    need_minisign
    printf 'pw\n' >pass
    ax-sign keygen --passphrase-file pass -o k
    echo hello >f
    minisign -S -s k -m f <pass
    minisign -V -p k.pub -m f
    ax-sign verify --detached -k k.pub f
}

@test "minisign's keys and signatures are read here" {
    need_minisign
    sample
    minisign -G -W -p m.pub -s m
    echo hello >f
    minisign -S -s m -m f
    ax-sign verify --detached -k m.pub f
    minisign -S -l -s m -m f
    ax-sign verify --detached -k m.pub f
    echo >>f
    refuses 1 "not of these bytes" ax-sign verify --detached -k m.pub f
    ax-sign -f -k m a.axm | ax-sign verify --strict -k m.pub
}

@test "options that do not fit are refused" {
    refuses 64 "-o is not for verify" ax-sign verify -o x -k k.pub a.axm
    refuses 64 "--json is not for sign" ax-sign --json -k k a.axm
    refuses 64 "whose signature" ax-sign verify a.axm
    refuses 64 "wants one secret key" ax-sign a.axm
    refuses 64 "a file is not for keygen" ax-sign keygen k
    refuses 64 "wants one file, has 2" ax-sign a b
    refuses 64 "at most 2 operands" ax-sign sign a b
    refuses 64 "--no-passphrase is not for sign" ax-sign -W -k k a.axm
}

@test "every allocation of ax-sign may fail" {
    need_shim
    sample
    ax-sign keygen -W -o k
    ax-sign -k k a.axm >s.axm
    survives_no_memory ax-sign -k k <a.axm
    survives_no_memory ax-sign verify -k k.pub <s.axm
}
