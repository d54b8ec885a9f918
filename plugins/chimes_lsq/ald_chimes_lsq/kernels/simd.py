"""Eight doubles as one value in compiled code.

LLVM maps them to whatever vector registers the processor has. Written out because automatic vectorization stops at
loops of this length when it cannot prove that arrays do not overlap. Nothing here checks bounds.
"""

# ruff: noqa: ARG001  (numba dictates the arguments of intrinsics)

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic, models, register_model

LANES = 8
_DOUBLE = ir.DoubleType()
_VECTOR = ir.VectorType(_DOUBLE, LANES)
_FUSE = ("contract",)


class Vector8(types.Type):  # type: ignore[misc]
    """Numba's name for eight doubles."""

    def __init__(self) -> None:
        super().__init__(name="Vector8")


vector8 = Vector8()


@register_model(Vector8)
class Vector8Model(models.PrimitiveModel):  # type: ignore[misc]
    """Represented by an LLVM vector."""

    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _VECTOR)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    pointer = builder.gep(data, [index])
    return builder.bitcast(pointer, _VECTOR.as_pointer())


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """The eight numbers from flat position `index` of a contiguous float64 array on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = builder.load(
            _pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        )
        value.align = 8
        return value

    return vector8(array, types.intp), generate


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write eight numbers from flat position `index` of a contiguous float64 array on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        builder.store(arguments[2], place).align = 8
        return context.get_dummy_value()

    return types.none(array, types.intp, vector8), generate


@intrinsic
def spread(typingctx: Any, number: Any) -> Any:
    """One number eight times."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zero = ir.Constant(ir.IntType(32), 0)
        one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), arguments[0], zero)
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), mask)

    return vector8(types.float64), generate


@intrinsic
def at(typingctx: Any, array: Any, index: Any) -> Any:
    """The number at flat position `index` of a contiguous array; no check, no counting from the end."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_type = signature.args[0]
        data = context.make_array(array_type)(context, builder, arguments[0]).data
        return builder.load(builder.gep(data, [arguments[1]]))

    return array.dtype(array, types.intp), generate


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """The sum a × b + c of vectors, fused where the processor can."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        product = builder.fmul(arguments[0], arguments[1], flags=_FUSE)
        return builder.fadd(product, arguments[2], flags=_FUSE)

    return vector8(vector8, vector8, vector8), generate


@intrinsic
def add(typingctx: Any, a: Any, b: Any) -> Any:
    """The sum a + b of vectors."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(arguments[0], arguments[1], flags=_FUSE)

    return vector8(vector8, vector8), generate


@intrinsic
def subtract(typingctx: Any, a: Any, b: Any) -> Any:
    """The difference a - b of vectors."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fsub(arguments[0], arguments[1], flags=_FUSE)

    return vector8(vector8, vector8), generate


@intrinsic
def multiply(typingctx: Any, a: Any, b: Any) -> Any:
    """The product a × b of vectors."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fmul(arguments[0], arguments[1], flags=_FUSE)

    return vector8(vector8, vector8), generate


@intrinsic
def total(typingctx: Any, value: Any) -> Any:
    """The sum of the eight numbers, always in the same order (by halves)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = arguments[0]
        width = LANES
        while width > 1:
            width //= 2
            undefined = ir.Constant(vector.type, ir.Undefined)
            mask_type = ir.VectorType(ir.IntType(32), width)
            low = ir.Constant(mask_type, list(range(width)))
            high = ir.Constant(mask_type, list(range(width, 2 * width)))
            vector = builder.fadd(
                builder.shuffle_vector(vector, undefined, low),
                builder.shuffle_vector(vector, undefined, high),
            )
        return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))

    return types.float64(vector8), generate
