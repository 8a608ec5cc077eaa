"""The ranges that numbers of params.yaml may take, written beside each setting and checked when the file is read."""

import math
from typing import Annotated

from annotated_types import Ge, Interval

Count = Annotated[int, Ge(1)]
WholeNumber = Annotated[int, Ge(0)]
Seed = Annotated[int, Interval(ge=0, le=2**31 - 1)]
DayCount = Annotated[int, Interval(ge=1, le=36_525)]  # a century at most
DaysOrNone = Annotated[int, Interval(ge=0, le=36_525)]  # or none at all: 0
Share = Annotated[float, Interval(ge=0, le=1)]
PositiveShare = Annotated[float, Interval(gt=0, le=1)]  # of something, and never nothing
OpenShare = Annotated[float, Interval(gt=0, lt=1)]
NonNegative = Annotated[float, Interval(ge=0, lt=math.inf)]
