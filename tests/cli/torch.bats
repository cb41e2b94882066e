# ax-import on checkpoints of PyTorch and on safetensors. The samples are those
# that tests/formats/torch/make.py wrote down.
load common

samples=$root/tests/formats/torch

@test "tensors are listed, exact to the byte, from every container" {
    n=0
    for f in "$samples"/good/*; do
        case $f in *.txt) continue ;; esac
        ax-import --tensors "$f" >list || { echo "$f"; return 1; }
        diff "$f.txt" list || { echo "$f"; return 1; }
        ax-import --tensors <"$f" | cmp - list
        ax-import --tensors - < <(cat "$f") | cmp - list
        n=$((n + 1))
    done
    [ "$n" -ge 22 ]
}

@test "the list as JSON says the same, and how tensors lie" {
    ax-import --tensors --json "$samples/good/views.pt" >list.json
    jq -r '.tensors[] | "\(.sha256)  \(.dtype) [\(.shape | map(tostring) |
        join(","))]  \(.name)"' list.json | cmp - "$samples/good/views.pt.txt"
    [ "$(jq -c '.schema, .format' list.json | tr -d '\n')" = \
        '"ax.import.tensors/1""torch-zip"' ]
    [ "$(jq -c '.tensors[] | select(.name == "columns") |
        [.stride, .contiguous]' list.json)" = '[[1,4],false]' ]
    # All views share one storage.
    [ "$(jq '[.tensors[].storage] | unique | length' list.json)" = 1 ]
    for pair in plain.pt:torch-zip legacy.pt:torch-legacy first.tar:torch-tar \
        nested.zip:archive some.safetensors:safetensors; do
        [ "$(ax-import --tensors --json "$samples/good/${pair%:*}" |
            jq -r .format)" = "${pair#*:}" ]
    done
}

@test "what is wrong with a checkpoint is one line and exit 65" {
    n=0
    while IFS= read -r line; do
        refuses 65 "${line#*: }" ax-import --tensors "$samples/bad/${line%%: *}"
        n=$((n + 1))
    done <"$samples/bad.txt"
    [ "$n" -eq "$(find "$samples/bad" -type f | wc -l)" ]
    [ "$n" -ge 68 ]
}

@test "a checkpoint that is cut short is refused, wherever" {
    for f in plain.pt deflated.pt legacy.pt first.tar some.safetensors; do
        size=$(wc -c <"$samples/good/$f")
        at=0
        # A tar is whole before its last block of zeros.
        [ "$f" != first.tar ] || size=$((size - 512))
        while [ "$at" -lt "$size" ]; do
            head -c "$at" "$samples/good/$f" >short
            refuses 65 "" ax-import --tensors short
            at=$((at + size / 40 + 1))
        done
    done
}

@test "a checkpoint with a bit changed is read or refused, and no more" {
    for f in plain.pt legacy.pt first.tar some.safetensors; do
        size=$(wc -c <"$samples/good/$f")
        at=1
        while [ "$at" -lt "$size" ]; do
            cp "$samples/good/$f" flipped
            c=$(od -An -tu1 -j "$at" -N 1 flipped)
            # shellcheck disable=SC2059
            printf "\\$(printf %o $((c ^ (1 << at % 8))))" |
                dd of=flipped bs=1 seek="$at" conv=notrunc status=none
            run --separate-stderr ax-import --tensors flipped
            [ "$status" -eq 0 ] || {
                [ "$status" -eq 65 ] && [ "${#stderr_lines[@]}" -eq 1 ] ||
                    { echo "$f $at: $status $stderr"; return 1; }
            }
            at=$((at + size / 60 + 1))
        done
    done
}

@test "a scan finds what Python would run, however it is hidden" {
    n=0
    for f in "$samples"/scan/*; do
        run ax-import --scan "$f"
        [ "$status" -eq 1 ] || { echo "$f: $status"; return 1; }
        case $f in
        *unknown.pkl) want=unknown ;;
        *) want=dangerous ;;
        esac
        grep -q "^$want " <<<"$output" || { echo "$f"; return 1; }
        n=$((n + 1))
    done
    [ "$n" -ge 15 ]
    gives 1 "$(printf '%-10s  %s\n' dangerous 'os.system  in a.zip:b.pkl')
1 pickle, 0 harmless, 0 unknown, 1 dangerous, 0 unreadable" \
        ax-import --scan "$samples/scan/deep.zip"
    ax-import --scan --json "$samples/scan/cut.pkl" >scan.json || [ $? -eq 1 ]
    [ "$(jq -c '[.schema, .harmless, .findings[].verdict]' scan.json)" = \
        '["ax.import.scan/1",false,"dangerous","unreadable"]' ]
}

@test "a scan of what is harmless says so" {
    for f in "$samples"/good/*; do
        case $f in *.txt) continue ;; esac
        ax-import --scan "$f" >list || { echo "$f"; cat list; return 1; }
        ! grep -qv -e '^harmless ' -e ' 0 unknown, 0 dangerous, 0 unr' list
    done
    printf 'hello' >text
    refuses 65 "holds no pickle" ax-import --scan text
    refuses 64 "make no container" ax-import --scan -o x "$samples/good/plain.pt"
    refuses 64 "one of --scan" ax-import --scan --tensors "$samples/good/plain.pt"
    refuses 64 "--json is for" ax-import --json "$samples/good/plain.pt"
}

@test "real checkpoints have the tensors that PyTorch says" {
    need_shared data/ref/pytorch
    n=0
    for ref in "$shared"/*.tensors.json; do
        file=$AX_SHARED/data/$(jq -r .file "$ref")
        ax-import --tensors --json "$file" >list.json || return 1
        # What PyTorch calls by its stubs; a scripted module also has plain
        # attributes, which are no part of the reference.
        jq -c '.tensors[] | [(.name | gsub("<[^>]*>"; "") |
            gsub("/_buffers/"; ".")), .dtype, .shape, .stride, .sha256_le]' \
            "$ref" | sort >want
        jq -c '.tensors[] | select(.shape != [0] or
            (.name | startswith("_") | not)) |
            [.name, .dtype, .shape, .stride, .sha256]' list.json | sort >got
        diff want got || { echo "$file"; return 1; }
        n=$((n + 1))
    done
    [ "$n" -ge 23 ]
}

@test "the malicious files of other scanners are all found" {
    need_shared data/security/picklescan-data.tar.zst
    zstd -dcq "$shared" | tar xf -
    n=0
    while read -r f; do
        run ax-import --scan "$f"
        case ${f##*/} in
        benign0* | new_pytorch_model.bin | pytorch_model.bin) want=0 ;;
        bad_pytorch.pt) want=65 ;; # no pickle at all
        *) want=1 ;;
        esac
        [ "$status" -eq "$want" ] ||
            { echo "$f: $status, not $want"; echo "$output"; return 1; }
        n=$((n + 1))
    done < <(find modelscan picklescan -type f)
    [ "$n" -eq 48 ]
    for f in picklescan/data/malicious*.p* modelscan/unsafe_zip_pytorch.pt \
        picklescan/data/malicious*.zip; do
        ax-import --scan "$f" >list || true
        grep -q '^dangerous ' list || { echo "$f"; return 1; }
    done
}

@test "real checkpoints are harmless, but for those that are not" {
    need_shared data/pytorch
    while read -r f; do
        case $f in
        *.zst) continue ;;
        *chemprop* | *sb3-*) want=1 ;; # classes of their own, cloudpickle
        *) want=0 ;;
        esac
        run ax-import --scan "$f"
        [ "$status" -eq "$want" ] || { echo "$f $output"; return 1; }
    done < <(find "$shared" "$shared/../safetensors" -type f)
}
