"""One row predicted by a booster: LightGBM prepares for it once what `Booster.predict` prepares at every call."""

import ctypes
import weakref
from typing import Any, Literal

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from lightgbm.basic import _safe_call
from lightgbm.libpath import _LIB

Floats = npt.NDArray[np.float64]
_RAW, _CONTRIBUTIONS, _FLOAT64 = 1, 3, 1  # C_API_PREDICT_RAW_SCORE, C_API_PREDICT_CONTRIB, C_API_DTYPE_FLOAT64


class OneRow:
    """What a booster gives of one row, the bits of `Booster.predict`; threads may share it, they wait for each other.

    Python has no other way to LightGBM's predictions of single rows than the library beneath it.
    """

    def __init__(self, booster: lgb.Booster, what: Literal["raw", "contributions"]) -> None:
        self._booster, self._what = booster, what  # the booster must outlive what was prepared of it
        self.columns = booster.num_feature()
        self._answers = self.columns + 1 if what == "contributions" else 1
        self._prepared = ctypes.c_void_p()
        _safe_call(
            _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
                booster._handle,
                ctypes.c_int(_CONTRIBUTIONS if what == "contributions" else _RAW),
                ctypes.c_int(0),  # from the first tree
                ctypes.c_int(booster.best_iteration),  # to the last, where none was found best
                ctypes.c_int(_FLOAT64),
                ctypes.c_int32(self.columns),
                ctypes.c_char_p(b"num_threads=1"),
                ctypes.byref(self._prepared),
            )
        )
        weakref.finalize(self, _LIB.LGBM_FastConfigFree, self._prepared)

    def __call__(self, row: Floats) -> Floats:
        """The raw score (1,), or the contributions and the constant (n_columns + 1,), of a row (n_columns,)."""
        values, found = np.ascontiguousarray(row, np.float64), np.empty(self._answers)
        assert values.shape == (self.columns,)
        _safe_call(
            _LIB.LGBM_BoosterPredictForMatSingleRowFast(
                self._prepared,
                ctypes.c_void_p(values.ctypes.data),
                ctypes.byref(ctypes.c_int64()),
                ctypes.c_void_p(found.ctypes.data),
            )
        )
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy prepares anew."""
        return OneRow, (self._booster, self._what)
