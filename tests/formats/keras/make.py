#!/usr/bin/env python3
"""Write the samples in good/: small networks as Keras 3 saves them in HDF5,
one of them again with a configuration as Keras 2 has it, with an input and
what Keras computes.

Usage: PYTHON tests/formats/keras/make.py   (with tensorflow)"""
import json
import os
import shutil

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import h5py
import numpy as np
import tensorflow as tf

good = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'good')
L = tf.keras.layers
rng = np.random.default_rng(20261124)


def sequential():
    return tf.keras.Sequential([
        L.Input((7, 3), name='x'), L.Conv1D(4, 3, activation='relu'),
        L.MaxPooling1D(2, padding='same'), L.Dropout(.5), L.Flatten(),
        L.Dense(5), L.LeakyReLU(), L.Dense(3, activation='softmax')])


def image():
    i = L.Input((8, 7, 2), name='x')
    x = L.Conv2D(4, 3, strides=2, padding='same', use_bias=False)(i)
    x = L.BatchNormalization()(x)
    y = L.DepthwiseConv2D(3, padding='same', activation='sigmoid')(x)
    x = L.Concatenate()([x, L.Add()([x, y])])
    x = L.ZeroPadding2D(((1, 0), (0, 2)))(x)
    x = L.UpSampling2D(2)(L.AveragePooling2D(2)(x))
    z = L.GlobalMaxPooling2D()(x)
    return tf.keras.Model(i, [L.Dense(2, name='left')(z),
                              L.Permute((3, 1, 2), name='right')(x)])


def write(name, m):
    for v in m.weights:
        low = .5 if 'variance' in v.path else -1
        v.assign(rng.uniform(low, 1, size=v.shape))
    path = os.path.join(good, name)
    m.save(path + '.h5')
    x = rng.normal(size=[2] + list(m.inputs[0].shape[1:])).astype(np.float32)
    np.save(path + '.x.npy', x)
    y = m(x, training=False)
    for k, v in enumerate(y if isinstance(y, (list, tuple)) else [y]):
        np.save('%s.y%d.npy' % (path, k), v.numpy())


def history(v):
    if isinstance(v, list):
        return [h for w in v for h in history(w)]
    return [v['config']['keras_history'] + [{}]]


def old(name, to):
    """The same file with the words of Keras 2."""
    to = os.path.join(good, to + '.h5')
    shutil.copy(os.path.join(good, name + '.h5'), to)
    with h5py.File(to, 'r+') as f:
        config = json.loads(f.attrs['model_config'])
        for layer in config['config']['layers']:
            layer['inbound_nodes'] = [history(n['args'])
                                      for n in layer.get('inbound_nodes', [])]
            c = layer['config']
            if 'batch_shape' in c:
                c['batch_input_shape'] = c.pop('batch_shape')
            c['dtype'] = 'float32'
            if layer['class_name'] == 'DepthwiseConv2D':
                g = f['model_weights'][layer['name']]
                names = [n.decode() if isinstance(n, bytes) else n
                         for n in g.attrs['weight_names']]
                new = [n.replace('/kernel', '/depthwise_kernel') + ':0'
                       for n in names]
                for a, b in zip(names, new):
                    g.move(a, b)
                g.attrs['weight_names'] = [n.encode() for n in new]
        f.attrs['model_config'] = json.dumps(config)
        f.attrs['keras_version'] = '2.4.0'


write('sequential', sequential())
write('image', image())
old('image', 'image-2')
