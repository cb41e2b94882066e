#!/usr/bin/env python3
"""Write the samples of Hugging Face folders: good/NAME with config.json, the
weights, inputs x.NAME.npy and what transformers (5.23, float32) makes of
them, y.NAME.npy; options of ax-import are in good/NAME/options if there are
any. Needs torch and transformers; the samples are committed.
Usage: tests/formats/hf/make.py [NAME ...]"""
import os
import shutil
import sys

import numpy as np
import safetensors.torch
import torch
import transformers as T

T.logging.set_verbosity_error()
T.utils.logging.disable_progress_bar()
here = os.path.dirname(os.path.abspath(__file__))
samples = {}


def sample(f):
    samples[f.__name__.replace('_', '-')] = f


def stir(model):
    torch.manual_seed(1)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() > 1:
                p.uniform_(-1, 1).mul_(2 / p.shape[-1] ** 0.5)
            else:
                p.uniform_(0.5, 1)
        for name, b in model.named_buffers():
            if name.endswith('running_mean'):
                b.uniform_(-0.3, 0.3)
            elif name.endswith('running_var'):
                b.uniform_(0.5, 1.5)
    return model.eval()


def write(name, model, inputs, options='', **how):
    to = os.path.join(here, 'good', name)
    shutil.rmtree(to, ignore_errors=True)
    model.save_pretrained(to, **how)
    with torch.no_grad():
        out = model(**inputs)
    for k, v in inputs.items():
        np.save('%s/x.%s.npy' % (to, k), v.numpy())
    for k, v in out.items():
        if isinstance(v, torch.Tensor):
            np.save('%s/y.%s.npy' % (to, k), v.numpy())
    if options:
        with open(to + '/options', 'w') as f:
            f.write(options + '\n')
    generation = to + '/generation_config.json'
    if os.path.exists(generation):
        os.remove(generation)
    return to


def ids(vocabulary, batch, seq):
    torch.manual_seed(2)
    return torch.randint(0, vocabulary, (batch, seq))


def small_llama(**more):
    d = dict(vocab_size=13, hidden_size=8, intermediate_size=6,
             num_hidden_layers=2, num_attention_heads=2,
             num_key_value_heads=1, max_position_embeddings=16)
    d.update(more)
    return T.LlamaConfig(**d)


@sample
def llama(name):
    write(name, stir(T.LlamaForCausalLM(small_llama())),
          {'input_ids': ids(13, 2, 5)})


@sample
def llama_shards(name):
    """Ties, several files, rotary positions that are stretched."""
    model = T.LlamaForCausalLM(small_llama(
        tie_word_embeddings=True, attention_bias=True, mlp_bias=True,
        head_dim=6, rope_parameters={
            'rope_type': 'llama3', 'rope_theta': 50000.0, 'factor': 8.0,
            'low_freq_factor': 1.0, 'high_freq_factor': 4.0,
            'original_max_position_embeddings': 8}))
    mask = torch.ones(2, 5, dtype=torch.int64)
    mask[1, 3:] = 0
    write(name, stir(model), {'input_ids': ids(13, 2, 5),
                              'attention_mask': mask},
          '--inputs attention_mask', max_shard_size='1KB')


@sample
def llama_bf16(name):
    """Half the bytes, by way of pytorch_model.bin; the inner model alone."""
    model = stir(T.LlamaModel(small_llama(num_hidden_layers=1)))
    for p in model.parameters():
        p.data = p.data.to(torch.bfloat16).to(torch.float32)
    to = write(name, model, {'input_ids': ids(13, 1, 4)}, '--batch 1 --seq 4')
    state = {k: v.to(torch.bfloat16) for k, v in model.state_dict().items()}
    torch.save(state, to + '/pytorch_model.bin')
    os.remove(to + '/model.safetensors')


@sample
def mistral(name):
    write(name, stir(T.MistralForCausalLM(T.MistralConfig(
        vocab_size=13, hidden_size=8, intermediate_size=6,
        num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
        max_position_embeddings=16, sliding_window=3))),
        {'input_ids': ids(13, 2, 7)})


@sample
def qwen2(name):
    write(name, stir(T.Qwen2Model(T.Qwen2Config(
        vocab_size=13, hidden_size=8, intermediate_size=6,
        num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
        max_position_embeddings=16))), {'input_ids': ids(13, 2, 5)})


@sample
def gpt2(name):
    write(name, stir(T.GPT2LMHeadModel(T.GPT2Config(
        vocab_size=13, n_embd=8, n_layer=2, n_head=2, n_positions=8,
        n_inner=12, scale_attn_by_inverse_layer_idx=True))),
        {'input_ids': ids(13, 2, 5)})


def small_bert(**more):
    return T.BertConfig(vocab_size=13, hidden_size=8, num_hidden_layers=1,
                        num_attention_heads=2, intermediate_size=12,
                        max_position_embeddings=8, **more)


@sample
def bert(name):
    mask = torch.ones(2, 5, dtype=torch.int64)
    mask[1, 3:] = 0
    write(name, stir(T.BertForSequenceClassification(
        small_bert(num_labels=3))),
        {'input_ids': ids(13, 2, 5), 'attention_mask': mask,
         'token_type_ids': ids(2, 2, 5)},
        '--inputs attention_mask,token_type_ids')


@sample
def bert_words(name):
    """With names as they were, and parts that it does not use."""
    to = write(name, stir(T.BertForMaskedLM(small_bert())),
               {'input_ids': ids(13, 2, 5)}, '--seq 5')
    state = safetensors.torch.load_file(to + '/model.safetensors')
    state = {k.replace('LayerNorm.weight', 'LayerNorm.gamma')
              .replace('LayerNorm.bias', 'LayerNorm.beta'): v
             for k, v in state.items()}
    state['cls.seq_relationship.weight'] = torch.zeros(2, 8)
    state['bert.pooler.dense.bias'] = torch.zeros(8)
    state['bert.embeddings.position_ids'] = torch.arange(8).reshape(1, 8)
    state['cls.predictions.decoder.bias'] = \
        state['cls.predictions.bias'].clone()
    safetensors.torch.save_file(state, to + '/model.safetensors')


@sample
def bert_bare(name):
    write(name, stir(T.BertModel(small_bert(type_vocab_size=1))),
          {'input_ids': ids(13, 1, 4)})


@sample
def distilbert(name):
    write(name, stir(T.DistilBertForQuestionAnswering(T.DistilBertConfig(
        vocab_size=13, dim=8, n_layers=1, n_heads=2, hidden_dim=12,
        max_position_embeddings=8))), {'input_ids': ids(13, 2, 5)})


def image(*shape):
    torch.manual_seed(2)
    return torch.rand(*shape) * 2 - 1


def small_vit(**more):
    return T.ViTConfig(hidden_size=8, num_hidden_layers=1,
                       num_attention_heads=2, intermediate_size=12,
                       image_size=10, patch_size=3, **more)


@sample
def vit(name):
    write(name, stir(T.ViTForImageClassification(small_vit(num_labels=3))),
          {'pixel_values': image(2, 3, 10, 10)})


@sample
def vit_bare(name):
    write(name, stir(T.ViTModel(small_vit(qkv_bias=False))),
          {'pixel_values': image(1, 3, 10, 10)}, '--batch 1')


def small_resnet(**more):
    return T.ResNetConfig(embedding_size=4, hidden_sizes=[4, 8],
                          depths=[1, 2], num_channels=2, **more)


@sample
def resnet(name):
    write(name, stir(T.ResNetForImageClassification(
        small_resnet(num_labels=3, hidden_act='silu'))),
        {'pixel_values': image(2, 2, 16, 19)})


@sample
def resnet_basic(name):
    write(name, stir(T.ResNetModel(small_resnet(
        layer_type='basic', downsample_in_first_stage=True))),
        {'pixel_values': image(1, 2, 16, 16)})


for name in sys.argv[1:] or samples:
    samples[name](name)
