"""The two checks of options that every family shares."""

from math import inf, nan

import numpy as np
import pytest

from blockspin.errors import ConfigError, check_between, check_whole


@pytest.mark.parametrize("value", [0, -2, 2.5, 2.0, "2", True, None, nan])
def test_what_is_no_integer_of_that_size_is_refused_by_name(value):
    with pytest.raises(ConfigError, match=r"^b = .* cannot be used\. Accepted: an integer of at least 1\.$"):
        check_whole("b", value, 1)


@pytest.mark.parametrize("value", [0, 0.0, 0.5, 1, -0.1, "0.1", True, None, nan, inf])
def test_what_is_no_number_in_that_range_is_refused_by_name(value):
    with pytest.raises(ConfigError, match=r"^level = .* cannot be used\. Accepted: a number between 0 and 0\.5\.$"):
        check_between("level", value, 0, 0.5)


def test_what_fits_is_let_through():
    for value in (1, 7, np.int64(3)):
        check_whole("b", value, 1)
    for value in (0.05, np.float32(0.25)):
        check_between("level", value, 0, 0.5)
