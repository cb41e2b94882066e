/* What a name in a pickle means to whoever lets Python load it. Only names
 * that are listed here are harmless; the rest is unknown, or known to be
 * dangerous, which is a better message and makes no other difference. */
#include <string.h>

#include "formats/torch/torch.h"

/* Words with one space between them. */
struct names {
    const char *module, *names;
};

/* What PyTorch itself loads under weights_only, the arrays and dictionaries
 * of others that checkpoints have, and the modules of torch.nn, whose objects
 * are only given their attributes. Functions are here only if they make data
 * out of data. */
static const struct names harmless[] = {
    {"collections", "OrderedDict Counter defaultdict deque"},
    {"builtins", "set frozenset bytearray complex int float bool list tuple "
                 "dict slice range bytes"},
    {"__builtin__", "set frozenset bytearray complex int float bool list "
                    "tuple dict slice xrange long unicode"},
    {"_codecs", "encode"},
    {"copyreg", "_reconstructor"},
    {"copy_reg", "_reconstructor"},
    {"datetime", "datetime date time timedelta timezone"},
    {"decimal", "Decimal"},
    {"fractions", "Fraction"},
    {"uuid", "UUID"},
    {"torch._utils",
     "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 "
     "_rebuild_parameter _rebuild_parameter_with_state _rebuild_qtensor "
     "_rebuild_sparse_tensor _rebuild_sparse_csr_tensor "
     "_rebuild_meta_tensor_no_storage _rebuild_nested_tensor "
     "_rebuild_device_tensor_from_numpy "
     "_rebuild_device_tensor_from_cpu_tensor _rebuild_wrapper_subclass"},
    {"torch._tensor", "_rebuild_from_type_v2"},
    {"torch.nn.parameter", "Parameter Buffer UninitializedParameter"},
    {"torch.serialization", "_get_layout"},
    {"torch.jit._pickle",
     "build_intlist build_tensorlist build_doublelist build_boollist "
     "build_tensor_from_id restore_type_tag"},
    {"torch.storage", "UntypedStorage _UntypedStorage TypedStorage "
                      "_TypedStorage"},
    {"torch",
     "Size Tensor device Generator FloatStorage DoubleStorage HalfStorage "
     "BFloat16Storage LongStorage IntStorage ShortStorage CharStorage "
     "ByteStorage BoolStorage ComplexFloatStorage ComplexDoubleStorage "
     "QInt8Storage QUInt8Storage QInt32Storage QUInt4x2Storage "
     "QUInt2x4Storage float float16 float32 float64 half double bfloat16 "
     "int int8 int16 int32 int64 long short uint8 uint16 uint32 uint64 bool "
     "complex32 complex64 complex128 cfloat cdouble qint8 quint8 qint32 "
     "quint4x2 quint2x4 float8_e4m3fn float8_e4m3fnuz float8_e5m2 "
     "float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn_x2 strided sparse_coo "
     "sparse_csr sparse_csc sparse_bsr sparse_bsc per_tensor_affine "
     "per_tensor_symmetric per_channel_affine per_channel_symmetric "
     "per_channel_affine_float_qparams contiguous_format channels_last "
     "channels_last_3d preserve_format"},
    {"torch.cuda", "FloatStorage DoubleStorage HalfStorage BFloat16Storage "
                   "LongStorage IntStorage ShortStorage CharStorage "
                   "ByteStorage BoolStorage ComplexFloatStorage "
                   "ComplexDoubleStorage"},
    {"numpy", "ndarray dtype bool_ int8 int16 int32 int64 uint8 uint16 "
              "uint32 uint64 float16 float32 float64"},
    {"numpy.core.multiarray", "_reconstruct scalar"},
    {"numpy._core.multiarray", "_reconstruct scalar"},
    {"torch.nn.modules.container",
     "Sequential ModuleList ModuleDict ParameterList ParameterDict"},
    {"torch.nn.modules.linear", "Linear Identity Bilinear LazyLinear "
                                "NonDynamicallyQuantizableLinear"},
    {"torch.nn.modules.conv",
     "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d"},
    {"torch.nn.modules.batchnorm",
     "BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm"},
    {"torch.nn.modules.instancenorm",
     "InstanceNorm1d InstanceNorm2d InstanceNorm3d"},
    {"torch.nn.modules.normalization",
     "LayerNorm GroupNorm LocalResponseNorm CrossMapLRN2d RMSNorm"},
    {"torch.nn.modules.activation",
     "ReLU ReLU6 LeakyReLU PReLU RReLU ELU CELU SELU GELU GLU SiLU Mish "
     "Sigmoid LogSigmoid Tanh Tanhshrink Softmax Softmax2d Softmin "
     "LogSoftmax "
     "Softplus Softshrink Softsign Hardtanh Hardsigmoid Hardswish Hardshrink "
     "Threshold MultiheadAttention"},
    {"torch.nn.modules.pooling",
     "MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d AvgPool3d "
     "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d "
     "AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d MaxUnpool1d "
     "MaxUnpool2d MaxUnpool3d LPPool1d LPPool2d FractionalMaxPool2d"},
    {"torch.nn.modules.dropout",
     "Dropout Dropout1d Dropout2d Dropout3d AlphaDropout "
     "FeatureAlphaDropout"},
    {"torch.nn.modules.flatten", "Flatten Unflatten"},
    {"torch.nn.modules.padding",
     "ZeroPad1d ZeroPad2d ZeroPad3d ConstantPad1d ConstantPad2d "
     "ConstantPad3d ReflectionPad1d ReflectionPad2d ReflectionPad3d "
     "ReplicationPad1d ReplicationPad2d ReplicationPad3d"},
    {"torch.nn.modules.upsampling",
     "Upsample UpsamplingNearest2d UpsamplingBilinear2d"},
    {"torch.nn.modules.pixelshuffle", "PixelShuffle PixelUnshuffle"},
    {"torch.nn.modules.sparse", "Embedding EmbeddingBag"},
    {"torch.nn.modules.rnn", "RNN LSTM GRU RNNCell LSTMCell GRUCell"},
    {"torch.nn.modules.transformer",
     "Transformer TransformerEncoder TransformerEncoderLayer "
     "TransformerDecoder TransformerDecoderLayer"},
    {"torch.nn.modules.loss",
     "L1Loss MSELoss CrossEntropyLoss NLLLoss BCELoss BCEWithLogitsLoss "
     "HuberLoss SmoothL1Loss KLDivLoss"},
    {"torch.optim.sgd", "SGD"},
    {"torch.optim.adam", "Adam"},
    {"torch.optim.adamw", "AdamW"},
};

/* Modules with nothing that a checkpoint has a use for, and with something
 * that an attacker has; those below them too. */
static const char *const dangerous[] = {
    "os",
    "posix",
    "nt",
    "posixpath",
    "ntpath",
    "subprocess",
    "_posixsubprocess",
    "commands",
    "popen2",
    "pty",
    "sys",
    "shutil",
    "socket",
    "_socket",
    "ssl",
    "http",
    "httplib",
    "httplib2",
    "urllib",
    "urllib2",
    "requests",
    "aiohttp",
    "ftplib",
    "smtplib",
    "telnetlib",
    "imaplib",
    "poplib",
    "nntplib",
    "xmlrpc",
    "socketserver",
    "webbrowser",
    "asyncio",
    "multiprocessing",
    "threading",
    "_thread",
    "concurrent",
    "importlib",
    "imp",
    "pkgutil",
    "zipimport",
    "runpy",
    "code",
    "codeop",
    "types",
    "marshal",
    "pickle",
    "_pickle",
    "cPickle",
    "cloudpickle",
    "dill",
    "joblib",
    "shelve",
    "dbm",
    "pydoc",
    "pdb",
    "bdb",
    "cmd",
    "trace",
    "timeit",
    "profile",
    "cProfile",
    "doctest",
    "unittest",
    "test",
    "ctypes",
    "_ctypes",
    "cffi",
    "mmap",
    "signal",
    "atexit",
    "gc",
    "inspect",
    "ast",
    "dis",
    "builtins",
    "__builtin__",
    "__builtins__",
    "operator",
    "_operator",
    "functools",
    "_functools",
    "itertools",
    "weakref",
    "io",
    "_io",
    "codecs",
    "tempfile",
    "fileinput",
    "glob",
    "pathlib",
    "linecache",
    "zipfile",
    "tarfile",
    "sqlite3",
    "logging",
    "configparser",
    "platform",
    "getpass",
    "venv",
    "ensurepip",
    "pip",
    "setuptools",
    "distutils",
    "site",
    "sysconfig",
    "lib2to3",
    "idlelib",
    "turtle",
    "tkinter",
    "curses",
    "readline",
    "rlcompleter",
    "_aix_support",
    "_osx_support",
    "_pyrepl",
    "numpy.f2py",
    "numpy.testing",
    "numpy.distutils",
    "numpy.ctypeslib",
    "torch.hub",
    "torch.jit",
    "torch.utils",
    "torch.fx",
    "torch._dynamo",
    "torch._inductor",
    "torch.distributed",
    "torch.package",
    "torch.multiprocessing",
    "torch.cuda.__init__",
    "torch.ops",
    "torch.classes",
    "torch.testing",
    "torch.serialization",
    "torch._C",
    "pandas",
    "scipy",
    "IPython",
    "ipykernel",
    "jinja2",
    "yaml",
    "nltk",
    "tensorflow",
    "keras",
    "bottle",
    "flask",
    "django",
    "__main__",
    "uuid",
};

/* Single names in modules that are not dangerous as a whole. */
static const struct names dangerous_names[] = {
    {"torch", "load save hub jit ops classes compile import_ir_module"},
    {"numpy", "load save loadtxt savetxt fromfile memmap genfromtxt "
              "DataSource"},
    {"numpy.core.multiarray", "fromfile"},
    {"torch.storage", "_load_from_bytes"},
};

static bool has_word(const char *words, struct torch_text name)
{
    for (const char *p = words; *p;) {
        size_t n = strcspn(p, " ");

        if (n == name.n && memcmp(p, name.s, n) == 0)
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

static bool listed(const struct names *v, size_t n,
                   const struct torch_global *g)
{
    /* A name with a dot or space is no word of any list. */
    if (!g->name.n || memchr(g->name.s, ' ', g->name.n))
        return false;
    for (size_t i = 0; i < n; i++)
        if (torch_is(g->module, v[i].module) && has_word(v[i].names, g->name))
            return true;
    return false;
}

static bool is_below(struct torch_text module, const char *top)
{
    size_t n = strlen(top);

    return module.n >= n && memcmp(module.s, top, n) == 0 &&
           (module.n == n || module.s[n] == '.');
}

#define COUNT(v) (sizeof(v) / sizeof(v)[0])

ax_peril torch_judge(const struct torch_global *g, const char **note)
{
    *note = "";
    if (g->computed) {
        *note = "its name is computed while the pickle is loaded";
        return AX_PERIL_RUNS;
    }
    if (g->changed) {
        *note = "is changed while the pickle is loaded";
        return AX_PERIL_RUNS;
    }
    if (listed(harmless, COUNT(harmless), g))
        return AX_PERIL_NONE;
    if (is_below(g->module, "__torch__")) {
        *note = "a class of a TorchScript archive";
        return AX_PERIL_NONE;
    }
    if (listed(dangerous_names, COUNT(dangerous_names), g))
        return AX_PERIL_RUNS;
    for (size_t i = 0; i < COUNT(dangerous); i++)
        if (is_below(g->module, dangerous[i]))
            return AX_PERIL_RUNS;
    if (g->name.n && memchr(g->name.s, '.', g->name.n)) {
        *note = "reaches through one object for another";
        return AX_PERIL_RUNS;
    }
    return AX_PERIL_UNKNOWN;
}

const char *ax_peril_name(ax_peril v)
{
    static const char *const names[] = {"harmless", "unknown", "dangerous",
                                        "unreadable"};

    return names[v];
}
