"""By what it is decided whether labels may be made in bfloat16."""

from types import SimpleNamespace

import numpy as np

from artray.classifiers.half_precision_check import compared


def test_agreement_and_calibration_decide():
    single = np.tile([[0.8, 0.2]], (1000, 1))
    true = np.tile([[True, False]], (1000, 1))
    one = SimpleNamespace(multilabel=False)
    assert compared(single, single, true, one) == {
        "n": 1000,
        "agreement": 1.0,
        "calibration_error": {"float32": 0.2, "bfloat16": 0.2},
        "holds": True,
    }
    few, many = single.copy(), single.copy()
    few[:5], many[:6] = [0.499, 0.501], [0.499, 0.501]
    assert compared(single, few, true, one)["holds"]
    assert not compared(single, many, true, one)["holds"]
    surer = compared(single, single + np.array([0.01, -0.01]), true, one)
    assert (surer["agreement"], surer["holds"]) == (1.0, False)
    several = SimpleNamespace(multilabel=True, class_thresholds=lambda: np.array([0.5, 0.5]))
    assert compared(single, single[:, ::-1], true, several)["agreement"] == 0.0
