"""Array types that carry their shapes.

`BTC` reads "an array of shape (B, T, C)". The letters are those of docs/notation.md:

    B batch            T time (tokens)      C channels (n_embd)   V vocabulary
    H heads            D = C / H            F MLP width           S keys seen (S >= T)
    I, O               inputs and outputs of a linear map    P positions in the position table
    M                  the axis that softmax runs over

A leading "..." stands for any number of leading dimensions. Python ignores these
annotations; the tests call every op through `tests/support/shape_checker.py`, which compares each
array with its annotation, so a signature cannot lie.
"""

from typing import Annotated, Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]  # a NumPy array, or a CuPy array that behaves like one

Tokens = Annotated[Array, "B T"]
BTC = Annotated[Array, "B T C"]
QKV = Annotated[Array, "B T 3C"]
BHTD = Annotated[Array, "B H T D"]
BHSD = Annotated[Array, "B H S D"]
BHTS = Annotated[Array, "B H T S"]

VC = Annotated[Array, "V C"]
PC = Annotated[Array, "P C"]
IO = Annotated[Array, "I O"]
VectorC = Annotated[Array, "C"]
VectorI = Annotated[Array, "I"]
VectorO = Annotated[Array, "O"]
HD = Annotated[Array, "H D"]
HSD = Annotated[Array, "H S D"]

AnyShape = Annotated[Array, "..."]
AnyC = Annotated[Array, "... C"]
AnyI = Annotated[Array, "... I"]
AnyO = Annotated[Array, "... O"]
AnyV = Annotated[Array, "... V"]
AnyOne = Annotated[Array, "... 1"]
AnyM = Annotated[Array, "... M"]
