#!/usr/bin/env python3
"""Write the samples in good/: small networks of Keras as TensorFlow converts
them, with an input and what LiteRT computes.

Usage: PYTHON tests/formats/tflite/make.py   (with tensorflow, ai-edge-litert)
"""
import os

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType

good = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'good')
L = tf.keras.layers
rng = np.random.default_rng(20261124)


def dense():
    i = L.Input((5,), name='x')
    x = L.Dense(6, activation='relu')(i)
    x = L.LeakyReLU()(L.Dense(4)(x))
    return tf.keras.Model(i, L.Dense(3, activation='softmax')(x))


def image():
    i = L.Input((9, 7, 2), name='x')
    x = L.Conv2D(4, 3, strides=2, padding='same', activation='relu6')(i)
    y = L.DepthwiseConv2D((3, 2), padding='same', depth_multiplier=2)(x)
    x = L.Concatenate()([L.Activation('sigmoid')(x), y])
    x = L.ZeroPadding2D(((1, 0), (0, 2)))(x)
    x = L.MaxPooling2D(2, strides=1, padding='same')(x)
    x = L.Conv2DTranspose(3, 3, strides=2, padding='same')(x)
    x = L.UpSampling2D(2, interpolation='bilinear')(x)
    x = L.AveragePooling2D(3, strides=2, padding='same')(x)
    x = L.Multiply()([x, L.GlobalAveragePooling2D(keepdims=True)(x)])
    x = L.Conv2D(2, 3, dilation_rate=2, padding='same')(x)
    return tf.keras.Model(i, [L.Flatten()(x[:, 1:5, ::2]),
                              L.GlobalMaxPooling2D()(x)])


def small_image():
    i = L.Input((6, 6, 2), name='x')
    x = L.Conv2D(4, 3, padding='same', activation='relu')(i)
    x = L.Add()([x, L.DepthwiseConv2D(3, padding='same')(x)])
    x = L.AveragePooling2D(2)(x)
    return tf.keras.Model(i, L.Dense(3)(L.Flatten()(x)))


def settled(m):
    for v in m.weights:
        v.assign(rng.normal(size=v.shape) * .4)
    return m


def sample(m, k):
    return np.random.default_rng(k).normal(
        size=[1] + list(m.inputs[0].shape[1:])).astype(np.float32)


def write(name, m, how='float32'):
    c = tf.lite.TFLiteConverter.from_keras_model(m)
    if how != 'float32':
        c.optimizations = [tf.lite.Optimize.DEFAULT]
    if how == 'float16':
        c.target_spec.supported_types = [tf.float16]
    if how == 'int8':
        c.representative_dataset = lambda: ([sample(m, k)] for k in range(20))
        c.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        c.inference_input_type = c.inference_output_type = tf.int8
    path = os.path.join(good, name)
    with open(path + '.tflite', 'wb') as f:
        f.write(c.convert())
    it = Interpreter(path + '.tflite', experimental_op_resolver_type=
                     OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    it.allocate_tensors()
    i, x = it.get_input_details()[0], sample(m, 99)
    if i['dtype'] == np.int8:
        s, z = i['quantization']
        x = np.clip(np.round(x / s) + z, -128, 127).astype(np.int8)
    it.set_tensor(i['index'], x)
    it.invoke()
    np.save(path + '.x.npy', x)
    for k, o in enumerate(it.get_output_details()):
        np.save('%s.y%d.npy' % (path, k), it.get_tensor(o['index']))


write('dense', settled(dense()))
write('half', settled(dense()), 'float16')
write('image', settled(image()))
write('int8', settled(small_image()), 'int8')
