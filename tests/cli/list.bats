# ax-prove --list: instances of a list, each by itself.
load common

# A folder of instances: one that holds, one that is violated, one that
# cannot be decided in the limit, networks of both formats, packed and not.
instances() {
    mkdir -p set/onnx set/vnnlib
    cp "$root"/tests/data/tutorial/net.onnx set/onnx/
    gzip -c set/onnx/net.onnx >set/onnx/packed.onnx.gz
    ax-import -o set/net.axm set/onnx/net.onnx
    cp "$root"/tests/data/tutorial/*.vnnlib set/vnnlib/
    gzip -c set/vnnlib/safe.vnnlib >set/vnnlib/safe.vnnlib.gz
    # Two members, one after the other.
    { head -c 100 set/vnnlib/unsafe.vnnlib | gzip
      tail -c +101 set/vnnlib/unsafe.vnnlib | gzip; } >set/vnnlib/two.vnnlib.gz
    printf '%s\r\n' onnx/net.onnx,vnnlib/safe.vnnlib,60 '' \
        'onnx/packed.onnx.gz, vnnlib/safe.vnnlib.gz ,60' \
        net.axm,vnnlib/two.vnnlib.gz,60.5 \
        "$PWD/set/net.axm,vnnlib/unsafe.vnnlib" >set/list.csv
}

verdicts() { # of $output
    printf '%s\n' "$output" | cut -d' ' -f1,2
}

@test "instances are decided one by one, and what is written is accepted" {
    instances
    mkdir certs
    run --separate-stderr ax-prove --list set/list.csv --cert-dir certs
    [ "$status" -eq 1 ]
    [ -z "$stderr" ]
    [ "$(verdicts)" = "1 holds
2 holds
3 violated
4 violated" ]
    [[ ${lines[2]} == *" net.axm vnnlib/two.vnnlib.gz" ]]
    [ "$(ls certs)" = "0001-net-safe.axm
0002-packed-safe.axm
0003-net-two.axm
0004-net-unsafe.axm" ]
    for f in certs/*; do
        run -0 ax-check "$f"
        [[ $output == accepted:* ]]
    done
    # The network is that which ax-import makes of it.
    [ "$(ax-show certs/0002-packed-safe.axm | grep ^identity)" = \
        "$(ax-show set/net.axm | grep ^identity)" ]
    run -0 ax-check certs/0002-packed-safe.axm set/vnnlib/safe.vnnlib
    head -3 set/list.csv >holds.csv
    mv holds.csv set/
    run -0 ax-prove --check --list set/holds.csv
    [ "$(verdicts)" = "1 holds
2 holds" ]
}

@test "shards are a partition" {
    instances
    for n in 1 2 3 5; do
        : >all
        for i in $(seq $n); do
            ax-prove --list set/list.csv --shard "$i/$n" >part || [ $? -eq 1 ]
            cat part >>all
        done
        [ "$(sort -n all | cut -d' ' -f1 | tr '\n' ' ')" = "1 2 3 4 " ]
    done
    for s in 0/1 2/1 1 1/0 x/2 1/2/3 -1/2 1/2x; do
        refuses 64 "--shard wants I/N" ax-prove --list set/list.csv --shard $s
    done
}

@test "--json prints one object a line" {
    instances
    run -1 ax-prove --list set/list.csv --json
    [ "${#lines[@]}" -eq 4 ]
    printf '%s\n' "$output" | jq -es '
        all(.[]; .schema == "ax.prove.instance/1" and .seconds >= 0) and
        [.[].verdict] == ["holds", "holds", "violated", "violated"] and
        [.[].instance] == [1, 2, 3, 4] and .[2].limit == 60.5 and
        (.[3] | has("limit") | not) and
        .[1].property == "vnnlib/safe.vnnlib.gz"' >/dev/null
}

@test "an instance that fails is an error of that one" {
    instances
    gzip -c set/onnx/net.onnx | head -c 100 >set/cut.onnx.gz
    { printf '\037\213'; head -c 100 /dev/zero; } >set/bad.onnx.gz
    : >set/empty.onnx
    head -c 1000 /dev/zero >set/zero.axm
    echo '(assert' >set/bad.vnnlib
    for net in none.onnx cut.onnx.gz bad.onnx.gz empty.onnx zero.axm; do
        printf '%s,vnnlib/safe.vnnlib,60\n' "$net"
    done >set/bad.csv
    printf '%s\n' net.axm,bad.vnnlib net.axm,none.vnnlib \
        net.axm,vnnlib/safe.vnnlib >>set/bad.csv
    run --separate-stderr ax-prove --list set/bad.csv
    [ "$status" -eq 66 ]
    [ "$stderr" = "ax-prove: an instance ended with an error" ]
    [ "$(verdicts | cut -d' ' -f2 | sort | uniq -c | tr -s ' \n' ' ')" = \
        " 7 error 1 holds " ]
    [[ ${lines[0]} == *"set/none.onnx: No such file or directory" ]]
    [[ ${lines[1]} == *"the gzip file is cut short" ]]
    [[ ${lines[2]} == *"the gzip file is damaged" ]]
    [[ ${lines[5]} == *"bad.vnnlib: 2:1: "* ]]
    [[ ${lines[7]} == "8 holds "* ]]
}

@test "what is packed may have any size" {
    instances
    for size in 65535 65536 65537 131072 300000; do
        n=$((size - $(wc -c <set/vnnlib/safe.vnnlib) - 2))
        { echo ";$(head -c $n /dev/zero | tr '\0' x)"
          cat set/vnnlib/safe.vnnlib; } >set/long.vnnlib
        [ "$(wc -c <set/long.vnnlib)" -eq $size ]
        gzip -c set/long.vnnlib >set/long.vnnlib.gz
        rm -f 0001-net-long.axm
        echo net.axm,long.vnnlib.gz >set/long.csv
        ax-prove --list set/long.csv --cert-dir .
        ax-check 0001-net-long.axm set/long.vnnlib
    done
}

@test "a crash of one instance leaves the others" {
    instances
    mkfifo set/stuck.axm
    printf '%s\n' net.axm,vnnlib/safe.vnnlib stuck.axm,vnnlib/safe.vnnlib \
        net.axm,vnnlib/safe.vnnlib >set/crash.csv
    ax-prove --list set/crash.csv >out 2>err &
    pid=$!
    exec 7>set/stuck.axm # its reader is there now
    read -r child <"/proc/$pid/task/$pid/children" || [ -n "$child" ]
    kill -KILL "$child"
    exec 7>&-
    code=0
    wait $pid || code=$?
    [ "$code" -eq 70 ]
    output=$(cat out)
    [ "$(verdicts)" = "1 holds
2 error
3 holds" ]
    grep -q '^2 error .*: ended by signal 9 ' out
}

@test "limits are of each instance" {
    acas=$root/tests/data/acasxu
    printf '%s\n' "$acas/net_1_1.onnx,$acas/prop_3.vnnlib,0.000001" \
        "$acas/net_1_1.onnx,$acas/prop_3.vnnlib,100" >list.csv
    run -2 ax-prove --list list.csv
    [[ ${lines[0]} == "1 unknown "*": the time limit was reached"* ]]
    [[ ${lines[1]} == "2 holds "* ]]
    run -2 ax-prove --list list.csv -t 0.000001
    [[ ${lines[1]} == "2 unknown "*": the time limit was reached"* ]]
}

@test "a list is read before its first instance is begun" {
    instances
    for bad in 'net.axm' 'net.axm,,3' 'a,b,c' 'a,b,-1' 'a,b,1,2' 'a,b,nan' \
        ',b,1'; do
        printf 'net.axm,vnnlib/safe.vnnlib,60\n%s\n' "$bad" >set/x.csv
        refuses 65 "set/x.csv:2: " ax-prove --list set/x.csv
    done
    printf 'a,b\0\n' >set/x.csv
    refuses 65 "is no text" ax-prove --list set/x.csv
    refuses 66 "none.csv" ax-prove --list none.csv
    refuses 64 "goes without" ax-prove --list set/list.csv set/net.axm
    refuses 64 "goes without" ax-prove --list set/list.csv -p x
    refuses 64 "go with --list" ax-prove --shard 1/2 -p x set/net.axm
    run --separate-stderr ax-prove --list set/list.csv --cert-dir nowhere
    [ "$status" -eq 74 ]
    [[ ${lines[0]} == "1 error "* ]]
}
