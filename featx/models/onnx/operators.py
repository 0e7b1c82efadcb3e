"""The operators of ONNX that exported models use; others are refused where a model is read."""

NAMES = """
    Abs Add And ArgMax AveragePool BatchNormalization Cast CastLike Ceil Clip Concat Constant ConstantOfShape Conv
    CumSum Div Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gelu Gemm GlobalAveragePool
    GlobalMaxPool Greater GreaterOrEqual GroupNormalization HardSigmoid HardSwish Identity InstanceNormalization
    LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max MaxPool Min Mod Mul Neg Not OneHot Or
    PRelu Pad Pow Range Reciprocal ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare
    Relu Reshape Resize Round Selu Shape Sigmoid Sign Size Slice Softmax Softplus Softsign Split Sqrt Squeeze Sub
    Sum Tanh Tile TopK Transpose Trilu Unsqueeze Where
"""

OPERATORS = frozenset(NAMES.split())
"""All of them compute what they give from what they are given: none loops, branches, draws at random, reads a file or
keeps a state. What is exported is opened as a stranger's file is before it is written, so none can be missing here."""
