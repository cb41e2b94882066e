#!/usr/bin/env python3
"""Write the descriptions of layers, ax-layers(5), that are tested: layers/
has those of the checkpoints of AX_SHARED/data/pytorch whose outputs are known.
Usage: tests/formats/torch/layers.py"""

import json
import os

here = os.path.dirname(os.path.abspath(__file__))


def write(name, layers, **more):
    path = os.path.join(here, 'layers', name + '.json')
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as f:
        f.write('{"format": "ax.layers.v1",\n')
        for key, value in more.items():
            f.write(' %s: %s,\n' % (json.dumps(key), json.dumps(value)))
        f.write(' "layers": [\n  ' + ',\n  '.join(map(json.dumps, layers)) +
                ']}\n')


def linear(*names, activation='ReLU', last=None):
    out = []
    for name in names:
        out += [{'type': 'Linear', 'name': name}, {'type': activation}]
    return out[:-1] + ([last] if last else [])


image = {'shape': ['N', 3, 32, 32]}
softmax = {'type': 'Softmax', 'dim': 1}

write('captum-california.pt', linear('lin1', 'lin2', 'lin3', 'lin4'))
write('captum-titanic.pt', linear('linear1', 'linear2', 'linear3',
                                  activation='Sigmoid', last=softmax))
write('cem-mountaincar.pth', linear('fc1', 'fc2', last={'type': 'Tanh'}))
write('fmnist-mlp-relu.tar',
      linear(*('layers.%d' % i for i in range(0, 10, 2))))
write('ppo-cartpole.pth', linear('actor.0', 'actor.2', 'actor.4',
                                 activation='Tanh', last=softmax),
      ignore=['critic.*'])
write('sb3-ppo-cartpole.zip',
      linear('mlp_extractor.policy_net.0', 'mlp_extractor.policy_net.2',
             'action_net', activation='Tanh'), state='policy.pth:',
      ignore=['mlp_extractor.value_net.*', 'value_net.*'])
write('digits-mlp-fullmodule.pt', linear('0', '2'))
write('uva-logreg.ckpt', linear('model'))
write('torchscript__linrelu.script.pt', linear('0') + [{'type': 'ReLU'}])
write('torchscript__mlp-1000-100-10.script.pt', linear('0.0', '1'))


def pool():
    return {'type': 'MaxPool2d', 'kernel_size': 2}


write('captum-cifar-lenet.pt', [
    {'type': 'Conv2d', 'name': 'conv1', 'kernel_size': [5, 5]},
    {'type': 'ReLU'}, pool(),
    {'type': 'Conv2d', 'name': 'conv2'}, {'type': 'ReLU'}, pool(),
    {'type': 'Flatten'}] + linear('fc1', 'fc2', 'fc3'), input=image)


def conv(name, **more):
    return {'type': 'Conv2d', 'name': name, 'bias': False, **more}


def bn(name):
    return {'type': 'BatchNorm2d', 'name': name}


# Blocks as in tutorial 5 of the University of Amsterdam.
layers = [conv('model.input_net.0', padding=1), bn('model.input_net.1'),
          {'type': 'ReLU', 'name': 'x'}]
last = 'x'
for i in range(9):
    b, down = 'model.blocks.%d' % i, i in (3, 6)
    layers += [
        conv(b + '.net.0', padding=1, stride=2 if down else 1, inputs=[last]),
        bn(b + '.net.1'), {'type': 'ReLU'},
        conv(b + '.net.3', padding=1), bn(b + '.net.4')]
    other = last
    if down:
        other = b + '.downsample'
        layers.append({'type': 'Conv2d', 'name': other, 'stride': 2,
                       'bias': True, 'inputs': [last]})
    last = b
    layers += [{'type': 'Add', 'inputs': [b + '.net.4', other]},
               {'type': 'ReLU', 'name': last}]
layers += [{'type': 'AdaptiveAvgPool2d', 'output_size': [1, 1]},
           {'type': 'Flatten'}, {'type': 'Linear', 'name': 'model.output_net.2'}]
write('uva-resnet.ckpt', layers, state='state_dict', input=image)

# ResNet-20 with shortcuts that skip pixels and add channels of zeros.
layers = [conv('conv1', padding=1), bn('bn1'), {'type': 'ReLU', 'name': 'x'}]
last = 'x'
for stage in 1, 2, 3:
    for i in range(3):
        b = 'layer%d.%d' % (stage, i)
        down = stage > 1 and i == 0
        layers += [conv(b + '.conv1', padding=1, stride=2 if down else 1,
                        inputs=[last]),
                   bn(b + '.bn1'), {'type': 'ReLU'},
                   conv(b + '.conv2', padding=1), bn(b + '.bn2')]
        other = last
        if down:
            k = 4 << stage - 1
            other = b + '.shortcut'
            layers += [{'type': 'Slice', 'inputs': [last], 'axes': [2, 3],
                        'starts': [0, 0], 'ends': [32, 32],
                        'steps': [2, 2]},
                       {'type': 'Pad', 'name': other,
                        'pads': [0, k, 0, 0, 0, k, 0, 0]}]
        last = b
        layers += [{'type': 'Add', 'inputs': [b + '.bn2', other]},
                   {'type': 'ReLU', 'name': last}]
layers += [{'type': 'AvgPool2d', 'kernel_size': 8}, {'type': 'Flatten'},
           {'type': 'Linear', 'name': 'linear'}]
write('resnet20-cifar10.th', layers, state='state_dict', strip='module.',
      input=image)
