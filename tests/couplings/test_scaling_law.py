"""Scaling laws: planted ones are found and covered at the nominal rate, broken ones told, and the rest refused."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import binom

from blockspin.answer import Verdict
from blockspin.cli.scaling import command
from blockspin.couplings.scaling_law import fit_scaling, held_out
from blockspin.errors import ConfigError, FitFailedError, NonFiniteError, TooFewSamplesError
from blockspin.organisms.small_cnn import SmallCnn

SIZES = np.geomspace(1e5, 1e8, 8)


def law(N, E=1.7, A=400.0, alpha=0.4):
    return E + A * np.asarray(N) ** -alpha


def family(generator, noise=0.005, seeds=4, sizes=SIZES, truth=law):
    draws = torch.randn(len(sizes), seeds, dtype=torch.float64, generator=generator).numpy()
    return {N: (truth(N) * np.exp(noise * row)).tolist() for N, row in zip(sizes, draws, strict=True)}


def broken(N):
    return 1.0 + 400 * N**-0.4 * (1 + (N / 3e6) ** 4) ** (0.3 / 4)


def test_a_law_almost_without_noise_is_found(generator):
    found = fit_scaling(family(generator, noise=1e-6), generator=generator)
    assert found.exponent[0] == pytest.approx(0.4, abs=1e-3)
    assert found.irreducible[0] == pytest.approx(1.7, abs=1e-3)
    assert found.exponent[1][0] <= 0.4 <= found.exponent[1][1]


@pytest.mark.slow
def test_intervals_cover_and_breaks_are_not_seen_where_there_are_none(generator):
    fits = 60
    exponent = irreducible = held_out = alarms = 0
    for _ in range(fits):
        new = float(law(4e8)) * float(torch.randn((), dtype=torch.float64, generator=generator).mul(0.005).exp())
        found = fit_scaling(family(generator), generator=generator)
        exponent += found.exponent[1][0] <= 0.4 <= found.exponent[1][1]
        irreducible += found.irreducible[1][0] <= 1.7 <= found.irreducible[1][1]
        low, high = found.predict(4e8)
        held_out += low <= new <= high
        alarms += found.break_p <= 0.05
    least, most = binom.ppf([0.005, 0.995], fits, 0.95)
    assert least <= exponent <= most
    assert least <= irreducible <= most
    assert least <= held_out <= most
    assert alarms <= binom.ppf(0.99, fits, 0.05)


def test_a_break_is_seen(generator):
    found = [fit_scaling(family(generator, truth=broken), generator=generator) for _ in range(10)]
    assert sum(fit.break_p <= 0.025 and fit.verdict is Verdict.NO for fit in found) >= 9


def test_one_diverged_seed_moves_less_than_the_interval(generator):
    losses = family(generator)
    plain = fit_scaling(losses, generator=generator)
    losses[SIZES[3]][0] *= 1.5
    found = fit_scaling(losses, generator=generator)
    assert plain.exponent[1][0] < found.exponent[0] < plain.exponent[1][1]


def test_an_exponent_that_is_not_bounded_cannot_be_told(generator):
    """The loss has fallen to its floor at the second size: any steeper law does as well."""
    found = fit_scaling(family(generator, 0.02, truth=lambda N: 1.7 + 2 * (N < 2e5)), generator=generator)
    assert found.verdict is Verdict.CANNOT_TELL
    assert found.exponent[1][1] == np.inf
    with pytest.raises(FitFailedError, match="not bounded"):
        found.predict(1e7)


def test_what_is_no_scaling_law_is_refused(generator):
    with pytest.raises(TooFewSamplesError):
        fit_scaling(family(generator, sizes=SIZES[:3]), generator=generator)
    with pytest.raises(TooFewSamplesError, match="0 repeats"):
        fit_scaling(family(generator, seeds=1), generator=generator)
    with pytest.raises(FitFailedError, match="rises"):
        fit_scaling(family(generator, truth=lambda N: law(N) * (1 + (N > 1e7))), generator=generator)
    with pytest.raises(FitFailedError, match="not beyond its noise"):
        fit_scaling(family(generator, truth=lambda N: 2.0), generator=generator)
    with pytest.raises(NonFiniteError):
        fit_scaling({**family(generator), 1.0: [float("nan"), 1.0]}, generator=generator)
    with pytest.raises(FitFailedError, match="agree exactly"):
        fit_scaling({N: [float(law(N))] * 3 for N in SIZES}, generator=generator)
    found = fit_scaling(family(generator), generator=generator)
    with pytest.raises(ConfigError, match="between"):
        found.predict(1e15)


def test_the_largest_runs_are_held_out_of_the_fit(generator):
    losses = family(generator)
    law, checks = held_out(losses, 2, generator=torch.Generator().manual_seed(0))
    alone = fit_scaling({N: losses[N] for N in SIZES[:-2]}, generator=torch.Generator().manual_seed(0))
    assert law.exponent == alone.exponent
    assert [check.size for check in checks] == SIZES[-2:].tolist()
    assert all(check.inside for check in checks)
    losses[SIZES[-1]] = [1.1 * L for L in losses[SIZES[-1]]]
    assert not held_out(losses, 2, generator=generator)[1][-1].inside
    with pytest.raises(ConfigError, match="held_out"):
        held_out(losses, -1, generator=generator)


def test_the_command_reads_a_table_of_runs(generator, tmp_path, capsys):
    path = tmp_path / "runs.csv"
    rows = [f"{N},{L},x" for N, row in family(generator).items() for L in row]
    path.write_text("\n".join(["parameters,final,note", *rows]), encoding="utf-8")
    assert command(path, size="parameters", loss="final", held_out=1) == 0
    said = capsys.readouterr().out
    assert "7 sizes, 28 runs: yes" in said
    assert "inside" in said
    command(path, size="parameters", loss="final", as_json=True)
    found = json.loads(capsys.readouterr().out)
    low, high = found["exponent"]["interval"]
    assert low <= 0.4 <= high
    with pytest.raises(ConfigError, match="columns size and loss"):
        command(path)
    with pytest.raises(ConfigError, match="readable CSV"):
        command(path, size="parameters", loss="note")


@pytest.mark.slow
def test_the_learning_curve_of_a_convolutional_network_on_pictures_is_fitted_and_its_largest_runs_are_predicted():
    """Its loss on pictures that it has not seen falls with those that it has, toward some irreducible part."""
    pytest.importorskip("sklearn")
    losses: dict[float, list[float]] = {}
    for k, shown in enumerate((80, 140, 250, 440, 780, 1400)):
        for seed in range(4):
            network = SmallCnn(data="digits", width=4, steps=200, shown=shown)
            trained = network.train(generator=torch.Generator().manual_seed(100 * k + seed))
            losses.setdefault(shown, []).append(trained.scores["test_loss"])
    law, checks = held_out(losses, 1, generator=torch.Generator().manual_seed(0))
    assert law.exponent[1][0] > 0
    assert all(check.inside for check in checks)
