from functools import cache

import pytest

from blockspin.errors import ConformanceError
from blockspin.registry import members
from blockspin.testing.checks import checks
from blockspin.testing.conformance import accepted_worlds, run_check
from blockspin.testing.controls import controls

EXAMPLES = [example for cls in members("schemes").values() for example in cls.examples()]
accepted = cache(accepted_worlds)


@pytest.mark.parametrize("name", checks())
@pytest.mark.parametrize("scheme", EXAMPLES, ids=repr)
def test_scheme_keeps_its_promises(scheme, name):
    run_check(name, scheme, accepted(scheme))


@pytest.mark.parametrize(("control", "name"), [(c, n) for c in controls().values() for n in c.fails])
def test_control_fails_its_checks(control, name):
    with pytest.raises(ConformanceError):
        run_check(name, control.examples()[0])


def test_every_check_is_failed_by_some_control():
    assert {name for control in controls().values() for name in control.fails} == set(checks())
