"""Random networks of Keras, for the tests beside it."""
import random

import numpy as np
import tensorflow as tf

L = tf.keras.layers


class Networks:
    def __init__(self, seed):
        self.rnd = random.Random(seed)

    def activation(self, x):
        rnd = self.rnd
        return rnd.choice([
            lambda v: L.ReLU()(v), lambda v: L.ReLU(max_value=6)(v),
            lambda v: L.LeakyReLU()(v), lambda v: L.Activation('tanh')(v),
            lambda v: L.Activation('sigmoid')(v), lambda v: L.ELU()(v),
            lambda v: L.PReLU(shared_axes=list(range(1, len(v.shape) - 1)))(v),
            lambda v: L.Activation('hard_silu')(v),
            lambda v: L.Activation('gelu')(v),
            lambda v: L.Activation('swish')(v), lambda v: v])(x)

    def block(self, x):
        """One step of an image."""
        rnd = self.rnd
        h, w, c = x.shape[1:]
        pad, n = rnd.choice(['same', 'valid']), rnd.choice([1, 3, 4, 8])
        k = (min(h, rnd.choice([1, 2, 3])), min(w, rnd.choice([1, 3])))
        step = rnd.choice([1, 1, 2])
        options = [
            lambda: L.Conv2D(n, k, strides=step, padding=pad)(x),
            lambda: L.Conv2D(n, k, padding='same',
                             dilation_rate=rnd.choice([1, 2]))(x),
            lambda: L.DepthwiseConv2D(k, strides=step, padding=pad,
                                      depth_multiplier=rnd.choice([1, 2]))(x),
            lambda: L.SeparableConv2D(n, k, padding=pad)(x),
            lambda: L.MaxPooling2D(min(2, h, w), strides=step, padding=pad)(x),
            lambda: L.AveragePooling2D(min(2, h, w), strides=step,
                                       padding=pad)(x),
            lambda: L.BatchNormalization()(x),
            lambda: L.ZeroPadding2D(((0, 1), (2, 1)))(x),
            lambda: L.Add()([x, L.Conv2D(c, 3, padding='same')(x)]),
            lambda: L.Concatenate()([x, self.activation(x)]),
            lambda: L.UpSampling2D(2)(x) if h * w < 200 else x,
            lambda: L.UpSampling2D(2, interpolation='bilinear')(x)
            if h * w < 200 else x,
            lambda: L.Conv2DTranspose(n, 3, strides=2, padding=pad)(x)
            if h * w < 100 else x,
            lambda: L.Multiply()([x, L.GlobalAveragePooling2D(
                keepdims=True)(x)]),
            lambda: L.Cropping2D(((0, 1), (1, 0)))(x) if h > 2 and w > 2 else x,
            lambda: L.Permute((2, 1, 3))(x),
        ]
        return rnd.choice(options)()

    def network(self):
        rnd = self.rnd
        if rnd.random() < .3:
            i = x = L.Input((rnd.choice([3, 7]),))
            for _ in range(rnd.randint(1, 3)):
                x = self.activation(L.Dense(rnd.choice([4, 9]))(x))
        else:
            i = x = L.Input((rnd.choice([5, 8]), rnd.choice([6, 8]),
                             rnd.choice([1, 3])))
            for _ in range(rnd.randint(1, 5)):
                x = self.block(x)
                if rnd.random() < .5:
                    x = self.activation(x)
            x = rnd.choice([L.Flatten(), L.GlobalAveragePooling2D(),
                            L.GlobalMaxPooling2D(),
                            L.Reshape((-1, x.shape[-1]))])(x)
        if rnd.random() < .8:
            x = L.Dense(rnd.choice([2, 5]), activation=rnd.choice(
                [None, 'softmax', 'relu']))(x)
        m = tf.keras.Model(i, x)
        for v in m.weights:
            if 'variance' not in v.path:
                v.assign(np.random.default_rng(rnd.randrange(9 ** 9)).normal(
                    size=v.shape) * .4)
        return m
