# ax-train: networks that learn, the same bytes each time, and bad input.
load common

# Points in a square, and whether they are on the same side of both axes.
quadrants() { # ROWS
    awk -v n="$1" 'BEGIN {
        for (i = 0; i < n; i++) {
            x = (i * 37 % 101) / 50 - 1; y = (i * 53 % 97) / 48 - 1
            printf "%.4f,%.4f,%d\n", x, y, (x * y > 0)
        }
    }'
}

small() {
    quadrants 400 >train.csv
    printf 'input 2\ndense 16 name=first\nrelu\ndense 2 name=out\n' >net.arch
}

@test "a network learns, and the model runs and is proved" {
    small
    ax-train -d train.csv --test train.csv --epochs 40 --seed 5 \
        --schedule cosine --json -o net.axm net.arch >log
    [ "$(wc -l <log)" -eq 40 ]
    tail -1 log | jq -e '.schema == "ax.train.epoch/1" and .epoch == 40 and
        .test_accuracy > 0.95 and .loss < 0.2' || { tail -1 log; return 1; }
    printf '0.5,0.5\n-0.5,0.5\n' >in.csv
    ax-run --format csv net.axm in.csv >out.csv
    awk -F, '{ print $1 < $2 }' out.csv >classes
    printf '1\n0\n' | cmp - classes
    cat >p.vnnlib <<'END'
(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const Y_0 Real)
(declare-const Y_1 Real)
(assert (>= X_0 0.45))
(assert (<= X_0 0.55))
(assert (>= X_1 0.45))
(assert (<= X_1 0.55))
(assert (>= Y_0 Y_1))
END
    ax-prove -p p.vnnlib --cert -o proved.axm net.axm
    ax-check proved.axm p.vnnlib
}

@test "the same command gives the same bytes, another seed others" {
    small
    for o in "" "--optimiser adam" "--optimiser adamw --weight-decay 0.1" \
        "--nesterov --clip-norm 0.5 --label-smoothing 0.1" \
        "--optimiser rmsprop --ema 0.9 --augment noise=0.1" \
        "--optimiser lion --schedule one-cycle" "--schedule step --warm-up 0.1"
    do
        # shellcheck disable=SC2086
        ax-train -d train.csv --epochs 2 $o net.arch >a.axm
        # shellcheck disable=SC2086
        ax-train -d train.csv --epochs 2 $o net.arch | cmp - a.axm
        # shellcheck disable=SC2086
        ax-train -d train.csv --epochs 2 $o --seed 1 net.arch >b.axm
        [ "$(ax-show -i a.axm)" != "$(ax-show -i b.axm)" ]
    done
}

@test "the identity is the one that every machine gives" {
    printf 'input 2\ndense 5\ntanh\ndense 5\nsigmoid\ndense 2\n' >net.arch
    quadrants 50 >train.csv
    ax-train -d train.csv --epochs 3 --optimiser adam -o net.axm net.arch
    gives 0 "$(cat "$root/tests/golden/train-identity.txt")" ax-show -i net.axm
}

@test "a container is trained on, in either profile; frozen weights stay" {
    small
    ax-train -d train.csv --epochs 1 net.arch >a.axm
    ax-show --copy raw -o raw.axm a.axm
    ax-train -d train.csv --epochs 1 a.axm >b.axm
    ax-train -d train.csv --epochs 1 raw.axm >c.axm
    [ "$(ax-show -i b.axm)" = "$(ax-show -i c.axm)" ]
    ax-show --json b.axm | grep -q "model_in.*$(ax-show -i a.axm)"
    ax-train -d train.csv --epochs 1 --freeze first a.axm >d.axm
    [ "$(ax-show -i d.axm)" != "$(ax-show -i b.axm)" ]
    refuses 65 "nothing is left to train" \
        ax-train -d train.csv --freeze "" a.axm
}

@test "values are learnt with each loss, out of one file or two" {
    awk 'BEGIN { for (i = 0; i < 64; i++) {
        x = i / 64; print x "," 0.5 - 0.25 * x } }' >t.csv
    cut -d, -f1 t.csv >x.csv
    cut -d, -f2 t.csv >y.csv
    printf 'input 1\ndense 1\n' >net.arch
    for loss in mse mae huber bce; do
        ax-train --loss $loss -d t.csv --epochs 5 --lr 0.1 -o net.axm \
            --json net.arch >log
        jq -s -e '.[-1].loss < .[0].loss' log
        ax-train --loss $loss -d x.csv --labels y.csv --epochs 5 --lr 0.1 \
            net.arch >two.axm
        [ "$(ax-show -i net.axm)" = "$(ax-show -i two.axm)" ]
    done
}

@test "data that do not fit are refused with their row" {
    small
    printf '1,2,0\n1,2,2\n' >label.csv
    refuses 65 "label.csv: row 1 has label 2, wants 0 to 1" \
        ax-train -d label.csv net.arch
    printf '1,2,0\n1,2,0.5\n' >half.csv
    refuses 65 "row 1 has label 0.5" ax-train -d half.csv net.arch
    printf '1,2,0\n1,nan,1\n' >nan.csv
    refuses 65 "nan.csv: " ax-train -d nan.csv net.arch
    printf '1,2,3,0\n' >wide.csv
    refuses 65 "1 rows of 3 numbers, the network wants 2" \
        ax-train -d wide.csv net.arch
    cut -d, -f3 train.csv >labels.csv
    refuses 65 "2 rows, and 400 labels" ax-train -d label.csv \
        --labels labels.csv <(printf 'input 3\ndense 2\n')
    gzip -c train.csv >train.csv.gz
    refuses 65 "gzip" ax-train -d train.csv.gz net.arch
    refuses 66 "none.csv" ax-train -d none.csv net.arch
    refuses 65 "epoch 1: the loss of step" \
        ax-train -d train.csv --lr 1000 --scale 100000 -o bad.axm net.arch
    [ ! -e bad.axm ]
}

@test "architectures that make no sense are refused with their line" {
    quadrants 4 >d.csv
    while IFS='|' read -r text words; do
        printf '%b' "$text" >bad.arch
        refuses 65 "bad.arch: $words" ax-train -d d.csv bad.arch
    done <<'END'
input 2\n|an architecture without layers
input 0\ndense 2\n|line 1: '0'
input 2x\ndense 2\n|line 1: ''
input 2y\ndense 2\n|line 1: 'y' after
input 1x1x1x1x1x1x1x1\n|line 1: more than 7
input 999999999\n|line 1: '999999999'
input 99999x99999\n|line 1: a row of
input 2\ninput 2\n|line 2: the first layer
# c\n\ninput 2\nblur 3\n|line 4: no layer is called 'blur'
input 2\ndense\n|line 2: ''
input 2\ndense 268435456\n|line 2: a matrix of
input 2x2\ndense 2\n|line 2: dense wants a vector
input 2\ndense 2 init=bogus\n|line 2: init=bogus
input 2\nrelu init=zeros\n|line 2: init= and bias= are for dense
input 2\ndense 2 pad=1\n|line 2: stride= and pad= are for conv
input 2\nconv 3x3\n|line 2: conv wants channels x height x width
input 1x8x8\nconv 3\n|line 2: '3' where channels x side
input 1x8x8\nconv 3x9\n|line 2: windows of 9 in an image of 8
input 1x8x8\nconv 3x3 pad=3\n|line 2: padding of 3
input 1x8x8\nconv 3x3 stride=0\n|line 2: '0'
input 1x8x8\nconv 99999999x8\n|line 2: more than
input 1x8x8\nmaxpool\n|line 2: ''
input 1x8x8 name=x\nflatten\nadd x\n|line 3: adds rows of different shapes
input 4x2x2\nconv 6x1 groups=4\n|line 2: 4 channels to 6 in groups of 4
input 2\ndense 2 groups=2\n|line 2: groups= is for conv
input 2\ndense 2 bias=maybe\n|line 2: bias=maybe: wants no
input 2\nbatchnorm 2\n|line 2: '2' after batchnorm
input 2\nrelu from=x\n|line 2: no layer above is called 'x'
input 2\nrelu 1\n|line 2: '1' after relu
input 2\ndense 2 3\n|line 2: '3' is one word too many
input 2\nadd x\n|line 2: no layer above
input 2 name=x\ndense 3\nadd x\n|line 3: adds 2 numbers to 3
input 2 name=x\ndense 3 name=x\ndense 1 name=x\n|line 2
input 2\nleakyrelu 2\n|line 2: '2' is no slope
END
}

# Images of 6 x 6 in two classes: bright above, or bright below.
images() { # ROWS
    awk -v n="$1" 'BEGIN {
        for (i = 0; i < n; i++) {
            for (k = 0; k < 36; k++) {
                light = (k < 18) == (i % 2) ? 0.5 : 0
                printf "%.3f,", light + (i * 31 + k * 17 + i * k) % 89 / 200
            }
            print i % 2
        }
    }'
}

windows_arch() {
    printf 'input 1x6x6\nconv 3x3 pad=1 name=c\nrelu\nconv 3x3 pad=1\n'
    printf 'add c\nmaxpool 2\nconv 4x2\nrelu\navgpool 2\nflatten\ndense 2\n'
}

@test "a network of windows learns, runs, and is the same on all threads" {
    images 60 >images.csv
    windows_arch >net.arch
    ax-train -d images.csv --epochs 60 --batch 16 --json -o one.axm \
        net.arch >log
    jq -s -e '.[-1].loss < 0.1 * .[0].loss' log
    for n in 2 3 7; do
        ax-train -d images.csv --epochs 60 --batch 16 --threads $n \
            net.arch >more.axm
        [ "$(ax-show -i one.axm)" = "$(ax-show -i more.axm)" ]
    done
    head -2 images.csv | cut -d, -f1-36 >in.csv
    ax-run --format csv one.axm in.csv |
        awk -F, '{ print $1 < $2 }' >classes
    printf '0\n1\n' | cmp - classes
}

# A residual network: normalisation, a branch with a stride, groups.
residual_arch() {
    printf 'input 1x6x6\nconv 8x3 pad=1 bias=no\nbatchnorm\nrelu name=a\n'
    printf 'conv 16x3 pad=1 stride=2 bias=no\nbatchnorm\nrelu\n'
    printf 'conv 16x3 pad=1 groups=4\nbatchnorm name=b\n'
    printf 'conv 16x1 stride=2 bias=no from=a\nbatchnorm\nadd b\nrelu\n'
    printf 'avgpool 3\nflatten\ndense 2\n'
}

@test "a residual network with normalisation learns, resumes, and runs" {
    images 60 >images.csv
    residual_arch >net.arch
    local run=(ax-train -d images.csv --test images.csv --epochs 12
        --batch 16 net.arch)
    "${run[@]}" --json --checkpoint c.axm -o one.axm >log
    jq -s -e '.[-1].test_accuracy == 1 and .[-1].test_loss < 0.1' log
    "${run[@]}" --threads 3 >two.axm
    [ "$(ax-show -i one.axm)" = "$(ax-show -i two.axm)" ]
    kill_and_resume "${run[@]}"
    [ "$(ax-show -i whole.axm)" = "$(ax-show -i one.axm)" ]
    head -2 images.csv | cut -d, -f1-36 >in.csv
    ax-run --format csv one.axm in.csv |
        awk -F, '{ print $1 < $2 }' >classes
    printf '0\n1\n' | cmp - classes
    # Frozen statistics stay, and normalise.
    ax-train -d images.csv --epochs 1 --freeze batchnorm one.axm >f.axm
    for x in one f; do ax-run --format csv $x.axm in.csv >$x.csv; done
    run ! cmp -s one.csv f.csv
    refuses 65 "one number has no variance" ax-train -d <(quadrants 3) \
        --batch 2 <(printf 'input 2\ndense 2\nbatchnorm\n')
    refuses 65 "has no bounds in robust training" ax-train -d images.csv \
        --robust 0.1 net.arch
}

@test "robust training gives a network of which more is proved" {
    images 60 >images.csv
    windows_arch >net.arch
    ax-train -d images.csv --epochs 30 --batch 16 --robust 0.2 -o net.axm \
        net.arch >log
    ax-train -d images.csv --epochs 30 --batch 16 --robust 0.2 --threads 2 \
        net.arch >two.axm
    [ "$(ax-show -i net.axm)" = "$(ax-show -i two.axm)" ]
    head -1 images.csv | cut -d, -f1-36 >image.csv
    ax-prove -p robust:image.csv,linf=0.15,label=0 net.axm
    refuses 64 "--robust is for" ax-train --robust 0.1 --loss mse \
        -d images.csv net.arch
}

# Go on until a run ends by itself, cutting it down after a time that differs.
kill_and_resume() { # COMMAND
    local round=0 from=() pid
    while [ $((round += 1)) -lt 40 ]; do
        [ ! -e state.axm ] || from=(--resume state.axm)
        "$@" "${from[@]}" --checkpoint state.axm --checkpoint-every 1 \
            -o whole.axm >>log &
        pid=$!
        sleep "0.0$((round * 7 % 9 + round / 8))"
        kill -9 $pid 2>/dev/null || true
        wait $pid && {
            echo "# killed $((round - 1)) times" >&3
            return 0
        }
        [ ! -e whole.axm ] || return 0
    done
    "$@" --resume state.axm -o whole.axm >>log
}

@test "a run that is killed at any moment goes on as if it were not" {
    images 80 >images.csv
    windows_arch >net.arch
    local run=(ax-train -d images.csv --epochs 12 --batch 8 --optimiser adam
        --schedule cosine --robust 0.1 --seed 3 net.arch)
    "${run[@]}" -o plain.axm >plain.log
    kill_and_resume "${run[@]}"
    [ "$(ax-show -i whole.axm)" = "$(ax-show -i plain.axm)" ]
    grep -q '^epoch 12 ' log
    [ "$(grep '^epoch 12 ' log | tail -1)" = "$(tail -1 plain.log)" ]
    # A checkpoint is a model like others.
    head -2 images.csv | cut -d, -f1-36 >in.csv
    ax-run state.axm in.csv >/dev/null
}

@test "a checkpoint of another run, and what is none, are refused" {
    small
    ax-train -d train.csv --epochs 2 --checkpoint c.axm -o a.axm net.arch
    ax-train -d train.csv --epochs 2 --resume c.axm --threads 2 -o b.axm \
        net.arch
    [ "$(ax-show -i a.axm)" = "$(ax-show -i b.axm)" ]
    refuses 65 "c.axm: is of a run with other arguments" \
        ax-train -d train.csv --epochs 3 --resume c.axm net.arch
    quadrants 40 >other.csv
    refuses 65 "c.axm: is of a run with other" \
        ax-train -d other.csv --epochs 2 --resume c.axm net.arch
    refuses 65 "a.axm: is no checkpoint" \
        ax-train -d train.csv --epochs 2 --resume a.axm net.arch
    head -c 400 c.axm >cut.axm
    refuses 65 "cut.axm" \
        ax-train -d train.csv --epochs 2 --resume cut.axm net.arch
    refuses 64 "--checkpoint-every without" \
        ax-train -d train.csv --checkpoint-every 2 net.arch
}

@test "a full disk and a loss that is no number leave the last checkpoint" {
    small
    ax-train -d train.csv --epochs 2 --checkpoint c.axm -o a.axm net.arch
    cp c.axm kept.axm
    run --separate-stderr bash -c 'ulimit -f 1
        exec ax-train -d train.csv --epochs 2 --lr 0.2 --checkpoint c.axm \
            -o b.axm <(printf "input 2\ndense 64\nrelu\ndense 2\n")'
    [ "$status" -eq 74 ]
    cmp c.axm kept.axm
    [ ! -e b.axm ]
    run --separate-stderr ax-train -d train.csv --lr 1000 --scale 100000 \
        --checkpoint c.axm -o b.axm net.arch
    [ "$status" -eq 65 ]
    cmp c.axm kept.axm
    [ -z "$(find . -name '*.tmp*' -o -name '.c.axm*')" ]
}

@test "a run is repeated from its record" {
    small
    mkdir rows
    quadrants 60 >rows/test.csv
    ax-train -d train.csv --test rows/test.csv --epochs 2 --threads 2 \
        --checkpoint c.axm -o a.axm net.arch
    gives 64 "" ax-train --replay a.axm -d train.csv
    run --separate-stderr ax-train --replay a.axm
    [ "$status" -eq 66 ] # rows/test.csv is called test.csv
    cp rows/test.csv .
    gives 0 "the same identity: $(ax-show -i a.axm)" ax-train --replay a.axm
    mkdir elsewhere
    mv train.csv test.csv net.arch elsewhere
    gives 0 "the same identity: $(ax-show -i a.axm)" \
        ax-train --replay a.axm --folder elsewhere --threads 3
    (cd elsewhere && ax-train -d train.csv --epochs 1 ../a.axm >../b.axm)
    cp a.axm elsewhere
    gives 0 "the same identity: $(ax-show -i b.axm)" \
        ax-train --replay b.axm --folder elsewhere
    echo 1,1,1 >>elsewhere/train.csv
    refuses 65 "elsewhere/train.csv: is not the file that the run had" \
        ax-train --replay a.axm --folder elsewhere
    ax-import -o imported.axm "$root/tests/data/tutorial/net.onnx"
    refuses 65 "has no record of ax-train" ax-train --replay imported.axm
}

@test "what has no gradient, and wrong usage, are refused" {
    small
    ax-import -o m.axm "$root/tests/formats/onnx/good/softmax1.onnx"
    run --separate-stderr ax-train -d train.csv m.axm
    [ "$status" -eq 65 ] && [ -z "$output" ]
    refuses 64 "--data" ax-train net.arch
    refuses 64 "--json wants -o" ax-train --json -d train.csv net.arch
    refuses 64 "--test-labels without --test" \
        ax-train --test-labels train.csv -d train.csv net.arch
}

@test "a run is followed in files, and they are no part of it" {
    small
    export SOURCE_DATE_EPOCH=1700000000
    local run=(ax-train -d train.csv --test train.csv --epochs 3 --metrics)
    "${run[@]}" -o plain.axm --json net.arch >log
    "${run[@]}" --track jsonl:sub/log.jsonl --track tensorboard:tb \
        --track wandb:wb -o followed.axm net.arch >/dev/null
    [ "$(ax-show -i plain.axm)" = "$(ax-show -i followed.axm)" ]
    diff <(jq -cS . log) <(jq -cS . sub/log.jsonl)
    jq -s -e '.[-1] | .test_auc > 0.5 and .test_auc <= 1 and .test_f1 > 0.3' log
    grep -aq 'brain.Event:2' tb/events.out.tfevents.1700000000.*
    [ "$(head -c 4 wb/wandb/offline-run-*/run-*.wandb)" = ':W&B' ]
    jq -e '._step == 3' wb/wandb/offline-run-*/files/wandb-summary.json
    grep -q optimiser wb/wandb/offline-run-*/files/config.yaml
    gives 0 "the same identity: $(ax-show -i plain.axm)" \
        ax-train --replay followed.axm
    [ "$(wc -l <sub/log.jsonl)" -eq 3 ]
    refuses 64 "--track nothing:x: wants" ax-train --track nothing:x \
        -d train.csv net.arch
    refuses 64 "wants http://" ax-train --track mlflow:ftp://x \
        -d train.csv net.arch
    refuses 64 "--metrics wants" ax-train --metrics -d train.csv net.arch
    refuses 74 "jsonl:/dev/full: the file: cannot be written" \
        ax-train --track jsonl:/dev/full -d train.csv -o x.axm net.arch
    [ ! -e x.axm ]
}

# A server that knows the calls of MLflow, writes them down, and goes away
# after so many of them.
server() { # CALLS
    cat >server.py <<'END'
import http.server, json, sys
left = int(sys.argv[1])
class H(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        global left
        call = self.path.split('/mlflow/')[1]
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        print(call, json.dumps(body), flush=True)
        said = {'experiments/create': {'experiment_id': '7'},
                'runs/create': {'run': {'info': {'run_id': 'r1'}}}}
        text = json.dumps(said.get(call, {})).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text)
        left -= 1
    def log_message(self, *a):
        pass
s = http.server.HTTPServer(('127.0.0.1', 0), H)
open('port', 'w').write(str(s.server_port))
while left:
    s.handle_request()
END
    rm -f port
    python3 server.py "$1" >calls 3>&- &
    server=$!
    while [ ! -s port ]; do sleep 0.05; done
    url=http://127.0.0.1:$(cat port)
}

@test "a run is followed on a server, which may go away" {
    small
    server 6
    ax-train -d train.csv --epochs 2 --track "mlflow:$url/trial" -o a.axm \
        net.arch
    wait $server
    cut -d' ' -f1 calls >have
    printf '%s\n' experiments/create runs/create runs/log-batch \
        runs/log-batch runs/log-batch runs/update | diff - have
    sed -n 1p calls | grep -q '"name": "trial"'
    sed -n 5p calls | cut -d' ' -f2- | jq -e '.run_id == "r1" and
        .metrics[0].key == "loss" and .metrics[0].step == 2'
    sed -n 6p calls | grep -q FINISHED
    server 4
    run --separate-stderr ax-train -d train.csv --epochs 3 \
        --track "mlflow:$url" -o b.axm net.arch
    [ "$status" -eq 0 ]
    [ "$(grep -c 'going on without it' <<<"$stderr")" -eq 1 ]
    wait $server
    [ "$(wc -l <calls)" -eq 4 ]
    refuses 69 "no server answers" ax-train -d train.csv \
        --track "mlflow:$url" -o c.axm net.arch
    [ ! -e c.axm ]
}

@test "curves are drawn, and a report needs no other file" {
    small
    ax-train -d train.csv --test train.csv --epochs 4 --plot -o a.axm \
        net.arch >text
    [ "$(grep -c '|' text)" -eq 18 ]
    grep -q '^loss, epochs 1 to 4' text
    grep -q '[*]' text
    LC_ALL=C.UTF-8 ax-train -d train.csv --epochs 4 --plot net.arch \
        2>dots >/dev/null
    grep -q $'\xe2\xa0' dots
    ax-train -d train.csv --test train.csv --epochs 1 --report r.html \
        -o a.axm net.arch
    for word in '<svg' Confusion 'What went wrong' 'test_accuracy' \
        "$(sha256sum train.csv | cut -d' ' -f1)" 'given'; do
        grep -q -e "$word" r.html
    done
    run ! grep -E 'src="http|href=' r.html
    # The matrix counts every row once.
    [ "$(sed -n '/Confusion/,/wrong/p' r.html | grep -o '">[0-9]*' |
        tr -d '">' | awk '{ n += $1 } END { print n }')" -eq 400 ]
    images 20 >images.csv
    windows_arch >net.arch
    ax-train -d images.csv --epochs 1 --lr 0.001 --report r.html -o a.axm \
        net.arch
    grep -o 'data:image/bmp;base64,[^"]*' r.html | head -1 | cut -d, -f2 |
        base64 -d | head -c 2 | grep -q BM
    refuses 64 "a report must be a file" ax-train --report - -d images.csv \
        net.arch
    refuses 74 "/dev/full" ax-train --report /dev/full -d images.csv net.arch
}

@test "schedules, means and augmentations change what is learnt, and resume" {
    images 60 >images.csv
    windows_arch >net.arch
    local run=(ax-train -d images.csv --epochs 6 --batch 16) o
    for o in "" "--schedule one-cycle" "--schedule step --step-epochs 2" \
        "--schedule step --step-factor 0.5" "--warm-up 0.5" "--ema 0.9" \
        "--augment crop=1" "--augment flip" "--augment noise=0.05"; do
        # shellcheck disable=SC2086
        "${run[@]}" $o net.arch >a.axm
        ax-show -i a.axm >>all
    done
    [ "$(sort -u all | wc -l)" -eq 9 ]
    run=("${run[@]}" --test images.csv --schedule one-cycle --ema 0.8
        --augment "crop=1,flip,noise=0.02" --optimiser lion --lr 0.002 net.arch)
    "${run[@]}" -o one.axm --checkpoint c.axm --json >log
    jq -s -e '.[-1].test_loss < .[0].test_loss' log
    kill_and_resume "${run[@]}"
    [ "$(ax-show -i whole.axm)" = "$(ax-show -i one.axm)" ]
    refuses 65 "is of a run with other arguments" \
        ax-train -d images.csv --epochs 6 --resume c.axm net.arch
    refuses 64 "--augment 'turn': wants" ax-train --augment turn \
        -d images.csv net.arch
    refuses 64 "--augment 'crop=99'" ax-train --augment flip,crop=99 \
        -d images.csv net.arch
    small
    refuses 65 "crop and flip are for" ax-train --augment flip -d train.csv \
        net.arch
}

@test "the mean of the weights is what is measured and written" {
    small
    ax-train -d train.csv --test train.csv --epochs 3 --ema 0.99 --json \
        -o mean.axm net.arch >log
    cut -d, -f1,2 train.csv >in.csv
    ax-run --format csv mean.axm in.csv |
        awk -F, '{ print ($1 < $2) }' >answers
    cut -d, -f3 train.csv | paste - answers |
        awk '{ n += $1 == $2 } END { printf "%.4f\n", n / NR }' >have
    jq -r '.test_accuracy' log | tail -1 | awk '{ printf "%.4f\n", $1 }' |
        diff - have
}

# Images of ROWS rows in two classes, as PNG in folders and as IDX or as
# records of CIFAR-10; sounds as WAV and as numbers.
media() { # KIND
    python3 - "$1" <<'END'
import os, random, struct, sys, wave, zlib

random.seed(5)
kind = sys.argv[1]
C, S = (3, 32) if kind == 'cifar' else (1, 6)

def chunk(name, data):
    return (struct.pack('>I', len(data)) + name + data +
            struct.pack('>I', zlib.crc32(name + data)))

def png(planes):
    rows = b''
    for y in range(S):
        rows += b'\0' + bytes(planes[c][y * S + x] for x in range(S)
                              for c in range(C))
    return (b'\x89PNG\r\n\x1a\n' +
            chunk(b'IHDR', struct.pack('>IIBBBBB', S, S, 8,
                                       2 if C == 3 else 0, 0, 0, 0)) +
            chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))

x, y, csv = b'', b'', ''
for label, name in enumerate(['cats', 'dogs']):
    os.makedirs('pets/' + name)
    for i in range(12):
        if kind == 'wav':
            n = 10 - i % 3
            v = [random.randrange(-9000, 9000) + 20000 * label
                 for _ in range(n)]
            with wave.open('pets/%s/%02d.wav' % (name, i), 'wb') as w:
                w.setnchannels(1)
                w.setsampwidth(2)
                w.setframerate(8000)
                w.writeframes(struct.pack('<%dh' % n, *v))
            csv += ','.join(repr(a / 32768) for a in v + [0] * (10 - n))
            csv += ',%d\n' % label
            continue
        planes = [bytes(random.randrange(100) +
                        (150 if (p < S * S // 2) == label else 0)
                        for p in range(S * S)) for _ in range(C)]
        with open('pets/%s/%02d.png' % (name, i), 'wb') as f:
            f.write(png(planes))
        x += (bytes([label]) if kind == 'cifar' else b'') + b''.join(planes)
        y += bytes([label])
if kind == 'cifar':
    open('pets.bin', 'wb').write(x)
elif kind == 'wav':
    open('pets.csv', 'w').write(csv)
else:
    open('x.idx', 'wb').write(struct.pack('>IIIII', 0x804, 24, 1, S, S) + x)
    open('y.idx', 'wb').write(struct.pack('>II', 0x801, 24) + y)
END
}

# The same run of two commands' data gives the same weights.
alike() { # ARCH DATA... -- DATA...
    local arch=$1 one=()
    shift
    while [ "$1" != -- ]; do
        one+=("$1")
        shift
    done
    shift
    ax-train --epochs 4 --batch 8 -o one.axm "${one[@]}" "$arch" >log
    ax-train --epochs 4 --batch 8 -o two.axm "$@" "$arch" >log2
    diff log log2
    [ "$(ax-show -i one.axm)" = "$(ax-show -i two.axm)" ]
}

@test "folders of PNG are rows like those of other files" {
    media png
    windows_arch >net.arch
    alike net.arch -d pets -- -d x.idx --labels y.idx
    gives 0 "the same identity: $(ax-show -i one.axm)" \
        ax-train --replay one.axm
    ax-show --json one.axm | grep -q "$(cd pets && sha256sum -- */* | sha256sum |
        cut -d' ' -f1)"
    head -c 60 pets/cats/03.png >short && mv short pets/cats/03.png
    refuses 65 "pets/cats/03.png: " ax-train -d pets net.arch
    echo text >pets/cats/03.png
    refuses 65 "pets/cats/03.png: is no PNG and no JPEG" \
        ax-train -d pets net.arch
    rm -r pets x.idx
    media cifar
    refuses 65 "pets/cats/00.png: 32 x 32 pixels, the network wants 6 x 6" \
        ax-train -d pets net.arch
    mkdir pets/birds
    refuses 65 "3 folders, the network has 2 classes" \
        ax-train -d pets net.arch
    rm -r pets/*
    mkdir pets/birds
    refuses 65 "has no files" ax-train -d pets net.arch
    refuses 64 "a folder has classes" ax-train -d pets --loss mse net.arch
}

@test "records of CIFAR-10 are those of its pictures" {
    media cifar
    printf 'input 3x32x32\nconv 4x5 stride=3\nrelu\nflatten\ndense 2\n' \
        >net.arch
    alike net.arch -d pets -- -d pets.bin
    head -c 5000 pets.bin >cut.bin
    refuses 65 "5000 bytes are no records of 3073" \
        ax-train -d cut.bin net.arch
}

@test "JPEG is read" {
    mkdir -p p/a p/b
    cp "$root/tests/data/train/above.jpg" p/a
    cp "$root/tests/data/train/below.jpg" p/b
    windows_arch >net.arch
    ax-train -d p --epochs 100 --json -o net.axm net.arch >log
    jq -s -e '.[-1].loss < 0.1 * .[0].loss' log
    head -c 150 p/a/above.jpg >p/a/cut.jpg
    refuses 65 "p/a/cut.jpg: " ax-train -d p net.arch
    printf '\xff\xd8\xff\xff' >p/a/cut.jpg
    refuses 65 "p/a/cut.jpg: " ax-train -d p net.arch
}

@test "folders of WAV are rows of samples" {
    media wav
    printf 'input 10\ndense 8\nrelu\ndense 2\n' >net.arch
    alike net.arch -d pets -- -d pets.csv
    printf 'input 9\ndense 2\n' >short.arch
    refuses 65 "pets/cats/00.wav: 10 samples, the network takes 9" \
        ax-train -d pets short.arch
    head -c 50 pets/cats/00.wav >short && mv short pets/cats/00.wav
    refuses 65 "pets/cats/00.wav: has no data, or is cut short" \
        ax-train -d pets net.arch
    echo text >pets/cats/00.wav
    refuses 65 "pets/cats/00.wav: is no WAV" ax-train -d pets net.arch
}

@test "words in a table are categories" {
    cat >words.csv <<'END'
size,colour,"long, name",kind
1.5,red,2,cat
2.5,"green",1,dog
0.5, blue ,3,cat
2.0,red,1,dog
END
    cat >numbers.csv <<'END'
1.5,0,0,1,2,0
2.5,0,1,0,1,1
0.5,1,0,0,3,0
2.0,0,0,1,1,1
END
    printf 'input 5\ndense 4\nrelu\ndense 2\n' >net.arch
    alike net.arch -d words.csv -- -d numbers.csv
    printf '1,green,2,dog\n3,blue,1,cat\n' >test.csv
    ax-train -d words.csv --test test.csv --epochs 1 -o a.axm net.arch
    printf '1,green,2,dog\n3,black,1,cat\n' >bad.csv
    refuses 65 "bad.csv: row 1, column 1: 'black' is no category" \
        ax-train -d words.csv --test bad.csv net.arch
    printf '1,green,2\n' >bad.csv
    refuses 65 "3 columns, the rows to train with have 4" \
        ax-train -d words.csv --test bad.csv net.arch
    sed 's/2.0,red/NA,red/' words.csv >bad.csv
    refuses 65 "bad.csv: row 3, column 0: a value is missing" \
        ax-train -d bad.csv net.arch
    sed 's/2.0,red/2.0,/' words.csv >bad.csv
    refuses 65 "row 3, column 1: a value is missing" \
        ax-train -d bad.csv net.arch
    sed 's/2.0,red/2x,red/' words.csv >bad.csv
    refuses 65 "row 3, column 0: '2x' among numbers" \
        ax-train -d bad.csv net.arch
    sed 's/2.0,red/2.0,7/' words.csv >bad.csv
    refuses 65 "row 3, column 1: '7' among words" ax-train -d bad.csv net.arch
    sed 's/2.0,red,1/2.0,red/' words.csv >bad.csv
    refuses 65 "line 5 has 3 fields, the first has 4" \
        ax-train -d bad.csv net.arch
}

@test "a run that gets no better stops, also after it was resumed" {
    small
    local run=(ax-train -d train.csv --test train.csv --epochs 50 --lr 0.9
        --patience 2 --json net.arch)
    "${run[@]}" --checkpoint c.axm -o a.axm >log
    [ "$(wc -l <log)" -lt 50 ]
    # The two last are no better than the best before them.
    jq -s -e '([.[:-2][].test_loss] | min) <= ([.[-2:][].test_loss] | min)' \
        log
    "${run[@]}" --resume c.axm -o b.axm >none
    [ ! -s none ]
    [ "$(ax-show -i a.axm)" = "$(ax-show -i b.axm)" ]
    gives 0 "the same identity: $(ax-show -i a.axm)" ax-train --replay a.axm
    kill_and_resume "${run[@]}"
    [ "$(ax-show -i whole.axm)" = "$(ax-show -i a.axm)" ]
    refuses 64 "--patience wants --test" ax-train --patience 1 -d train.csv \
        net.arch
}
