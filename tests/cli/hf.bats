# ax-import on folders of Hugging Face. The samples are those that
# tests/formats/hf/make.py wrote down, with what transformers computes.
load common

good=$root/tests/formats/hf/good


# Import SAMPLE with its own options and compare with what is beside it.
agrees() { # SAMPLE
    local s=$good/$1 x inputs=() outputs=() options=()
    [ ! -e "$s/options" ] || read -ra options <"$s/options"
    ax-import "$s" -o m.axm "${options[@]}" || return 1
    for x in "$s"/x.*.npy; do
        name=${x##*/x.}
        inputs+=(-i "${name%.npy}=$x")
    done
    ax-run m.axm "${inputs[@]}" -o y.npz || return 1
    for x in $(ax-show --json m.axm | jq -r '.graph.outputs[].name'); do
        outputs+=("$s/y.$x.npy")
    done
    "$root/tests/diff/npy-close" 1e-5 y.npz "${outputs[@]}"
}

@test "every sample computes what transformers does" {
    n=0
    for s in "$good"/*; do
        agrees "${s##*/}" || { echo "$s"; return 1; }
        n=$((n + 1))
    done
    [ "$n" -ge 14 ]
}

@test "tensors keep type and bytes" {
    ax-import "$good/llama" | ax-show --json --stats >a.json
    ax-import --tensors "$good/llama/model.safetensors" >list
    n=0
    while read -r sha type _ name; do
        jq -e --arg n "$name" --arg s "$sha" --arg t "$type" '.tensors |
            map(select(.name == $n and .sha256 == $s and .dtype == $t)) |
            length == 1' a.json
        n=$((n + 1))
    done <list
    [ "$n" -eq 21 ]
    ax-import "$good/llama-bf16" | ax-show --json |
        jq -e '.tensors | map(select(.name == "layers.0.mlp.up_proj.weight"))
            | .[0].dtype == "bfloat16"'
}

@test "a folder, its config.json and its record" {
    ax-import "$good/llama" -o a.axm
    ax-import "$good/llama/config.json" -o b.axm
    ax-import --no-provenance "$good/llama" -o c.axm
    [ "$(ax-show --identity a.axm)" = "$(ax-show --identity c.axm)" ]
    [ "$(ax-show --identity a.axm)" = "$(ax-show --identity b.axm)" ]
    refuses 65 "standard input cannot name" ax-import <"$good/llama/config.json"
    refuses 64 "--batch, --seq and --inputs are not for format onnx" \
        ax-import --seq 5 "$root/tests/data/tutorial/net.onnx"
}

# A copy of a sample, to be spoiled.
copy() { # SAMPLE
    rm -rf m
    cp -r "$good/$1" m
    chmod -R u+w m
}
config() { # SAMPLE JQ WORDS
    copy "$1"
    jq "$2" "$good/$1/config.json" >m/config.json
    refuses 65 "$3" ax-import m
}
index() { # JQ WORDS
    copy llama-shards
    jq "$1" "$good/llama-shards/model.safetensors.index.json" \
        >m/model.safetensors.index.json
    refuses 65 "$2" ax-import m
}

@test "a key that might change the function is named" {
    config llama '.sliding_window = 7' "'sliding_window' is no key that we"
    config llama '.quantization_config = {a: 1}' "'quantization_config' is set"
    config llama '.hidden_act = "snake"' "activation 'snake' is not supported"
    config llama '.rope_parameters.rope_type = "yarn"' "type 'yarn'"
    config llama '.rope_parameters.factor = 2' "'factor' of rotary positions"
    config llama '.rope_scaling = {type: "linear", factor: 2}' "has both"
    config llama '.attention_bias = true' "no tensor 'model.layers.0.self_attn.q_proj.bias'"
    config llama '.mlp_bias = 1' "'mlp_bias' is neither true nor false"
    config llama '.rms_norm_eps = "x"' "'rms_norm_eps' is no number above 0"
    config llama '.architectures = ["LlamaForDancing"]' "'LlamaForDancing' is not supported"
    config llama '.architectures = []' "wants one name in 'architectures'"
    config llama '.model_type = "gpt2"' "'model_type' is 'gpt2'"
    config llama '.num_attention_heads = 3' "is float32 [8,8], the configuration wants"
    config llama '.num_key_value_heads = 3' "2 heads cannot share 3"
    config llama '.hidden_size = 9e99' "'hidden_size' is no whole number"
    config llama '.num_hidden_layers = 2147483647' "no tensor 'model.layers.2."
    config llama '.num_hidden_layers = 1' "no part of a LlamaForCausalLM uses tensor 'model.layers.1."
    config llama '.vocab_size = 2147483647' "the configuration wants float32 [2147483647,8]"
    config llama '.head_dim = 3' "heads of an even size, not 3"
    config llama '.head_dim = 2147483646' "at most 65536 are supported"
    config llama '[.]' "does not begin like any known format"
}

@test "so for the other families" {
    config mistral '.sliding_window = 0' "'sliding_window' is no whole number"
    config mistral '.attention_bias = true' "'attention_bias' is no key that"
    config qwen2 '.use_sliding_window = true' "'use_sliding_window' is set"
    config qwen2 '.layer_types = ["sliding_attention"]' "'sliding_attention' are not supported"
    config gpt2 '.summary_type = "x" | .n_head = 3' "3 heads do not divide 8"
    config gpt2 '.activation_function = "relu6"' "'relu6' is not supported"
    config gpt2 '.add_cross_attention = true' "'add_cross_attention' is set"
    config gpt2 '.n_positions = 9' "is float32 [8,8], the configuration wants float32 [9,8]"
    config bert '.is_decoder = true' "'is_decoder' is set"
    config bert '.position_embedding_type = "relative_key"' "type 'relative_key'"
    config bert '.num_labels = 4' "'num_labels' is 4, 'id2label' has 3"
    config bert 'del(.id2label)' "classifier.weight' is float32 [3,8]"
    config bert '.architectures = ["BertModel"]' "no part of a BertModel uses tensor 'classifier.bias'"
    config bert-bare '.type_vocab_size = 2' "is float32 [1,8], the configuration wants"
    config distilbert '.id2label = {"0": "a"} | del(.num_labels)' "not 1 labels"
    config vit '.image_size = [6, 9, 1]' "'image_size' has 3 numbers, wants 2"
    config vit '.image_size = 2' "'image_size' is below 'patch_size'"
    config vit '.qkv_bias = false' "uses tensor 'vit.encoder.layer.0.attention.attention.key.bias'"
    config resnet '.layer_type = "wide"' "type 'wide' are not supported"
    config resnet '.depths = [1]' "'depths' has 1 numbers, 'hidden_sizes' 2"
    config resnet '.depths = [1, 2, "x"]' "'depths' has what is no whole number"
    config resnet '.hidden_sizes = [2, 8]' "less than 4 channels"
    refuses 64 "has no input 'token_type_ids'" \
        ax-import --inputs token_type_ids "$good/llama"
    refuses 64 "has no input 'mask'" ax-import --inputs mask "$good/bert"
    refuses 64 "are for models of language" ax-import --seq 3 "$good/vit"
}

@test "tensors that are not used are named, buffers are what they have to be" {
    ax-import "$good/bert-words" | ax-show --json >a.json
    [ "$(jq -r '.metadata["huggingface.unused"]' a.json)" = \
        "bert.pooler.dense.bias cls.seq_relationship.weight" ]
    copy bert-words
    "$root/tests/formats/hf/spoil" m/model.safetensors \
        bert.embeddings.position_ids 8
    refuses 65 "'bert.embeddings.position_ids' is a buffer, but not the one" \
        ax-import m
    copy bert-words
    "$root/tests/formats/hf/spoil" m/model.safetensors \
        cls.predictions.decoder.bias 0
    refuses 65 "differ, but config.json ties them" ax-import m
}

@test "tied or not is what the tensors say too" {
    config llama '.tie_word_embeddings = true' \
        "'lm_head.weight' and 'model.embed_tokens.weight' differ"
    config llama-shards '.tie_word_embeddings = false' "no tensor 'lm_head.weight'"
}

@test "an index that lies is refused" {
    key='"model.norm.weight"'
    index ".weight_map[$key] = \"../x\"" "has to be in the folder"
    index ".weight_map[$key] = \"/etc/passwd\"" "has to be in the folder"
    index ".weight_map[$key] = \".x\"" "has to be in the folder"
    index ".weight_map[$key] = \"none.safetensors\"" "No such file"
    index ".weight_map[$key] = 5" "is no text"
    index ".weight_map.more = .weight_map[$key]" "tensors, its files have"
    index "del(.weight_map[$key])" "tensor 'model.norm.weight' is in"
    index "del(.weight_map)" "has no 'weight_map'"
    copy llama-shards
    one=$(find m -name '*-00001-of-*')
    mv "$one" m/other
    ln -s other "$one"
    refuses 65 "is a symbolic link" ax-import m
    rm "$one"
    mkfifo "$one"
    refuses 65 "is empty or no regular file" ax-import m
    rm "$one"
    refuses 65 "No such file" ax-import m
    rm m/*
    cp "$good/llama/config.json" m
    refuses 66 "the folder has no weights" ax-import m
    rm m/config.json
    refuses 66 "m/config.json: No such file" ax-import m
}

@test "files cut short, anywhere, are one line and 65" {
    for f in llama/model.safetensors llama/config.json \
        llama-bf16/pytorch_model.bin \
        llama-shards/model.safetensors.index.json; do
        copy "${f%/*}"
        size=$(wc -c <"$good/$f")
        # What is behind the last brace is white space.
        case $f in *.json) size=$((size - 2)) ;; esac
        at=0
        while [ "$at" -lt "$size" ]; do
            head -c "$at" "$good/$f" >"m/${f#*/}"
            refuses 65 "" ax-import m
            at=$((at + size / 25 + 1))
        done
    done
}

# Bits that are changed make another network, or an error; nothing else.
@test "whatever bit is changed, it is a network or one line and 65" {
    for f in llama/config.json resnet/config.json llama-bf16/pytorch_model.bin \
        llama-shards/model.safetensors.index.json llama/model.safetensors; do
        copy "${f%/*}"
        "$root/tests/formats/hf/flips" "$good/$f" 15 . >/dev/null
        for b in flip.*; do
            cp "$b" "m/${f#*/}"
            code=0
            ax-import m -o /dev/null 2>err || code=$?
            [ "$code" -eq 0 ] || [ "$code" -eq 65 ]
            [ "$(wc -l <err)" -eq $((code / 65)) ]
        done
    done
}

@test "the exported graph is read again" {
    ax-import --no-provenance "$good/llama" -o a.axm
    ax-export --to onnx a.axm -o a.onnx
    ax-import a.onnx -o b.axm
    for m in a b; do
        ax-run $m.axm -i input_ids="$good/llama/x.input_ids.npy" -o $m.npy
    done
    cmp a.npy b.npy
}

@test "stories260K computes what its reference says" {
    need_shared data/ref/hf/stories260K.out0.npy
    ax-import "$AX_SHARED/data/hf/stories260K" -o s.axm
    ax-run s.axm -i input_ids="$AX_SHARED/data/ref/hf/stories260K.in0.npy" \
        -o s.npz
    "$root/tests/diff/npy-close" 1e-4 s.npz "$shared"
    # As bfloat16 in shards: a relative half of 2^-8 in each weight.
    ax-import "$AX_SHARED/data/hf/stories260K-bf16-sharded" -o b.axm
    ax-run b.axm -i input_ids="$AX_SHARED/data/ref/hf/stories260K.in0.npy" \
        -o b.npz
    "$root/tests/diff/npy-close" 2e-2 b.npz "$shared"
}
