"""What holds for every model of the course. A new model is one more `Case` in cases.py."""

import pytest
import torch
from cases import CASES

from dgmcourse.core import Kind, LogProb, Step
from dgmcourse.training import fit

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
every_model = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
every_device = pytest.mark.parametrize("device", DEVICES)


def on(device, model, *tensors):
    return model.to(device), *(t if t is None else t.to(device) for t in tensors)


@every_device
@every_model
def test_training_step_yields_scalar_losses_that_reach_their_group(case, device):
    model, x, y = on(device, case.model(), *case.batch())
    groups, seen = model.parameter_groups(), set()
    for turn in model.training_step(x, y):
        assert isinstance(turn, Step)
        assert turn.loss.ndim == 0
        assert torch.isfinite(turn.loss)
        model.zero_grad()
        turn.loss.backward()
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in groups[turn.group])
        seen.add(turn.group)
    assert seen == set(groups)
    grouped = [id(p) for parameters in groups.values() for p in parameters]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())  # each parameter in exactly one group


@every_device
@every_model
def test_samples_belong_to_the_space_and_repeat_for_a_seed(case, device):
    model, y = on(device, case.model().eval(), case.batch(5)[1])
    samples = []
    for _ in range(2):
        torch.manual_seed(3)
        samples.append(model.sample(5, y))
    model.space.check(samples[0], values=True)
    assert len(samples[0]) == 5
    assert samples[0].device.type == device
    assert not samples[0].requires_grad
    torch.testing.assert_close(samples[0], samples[1], rtol=0, atol=0)
    torch.manual_seed(3)
    states = list(model.trajectory(5, y))
    assert all(state.shape == samples[0].shape for state in states)
    torch.testing.assert_close(states[-1], samples[0], rtol=0, atol=0)
    assert torch.is_grad_enabled()


@every_device
@every_model
def test_log_prob_is_one_finite_number_an_example_with_its_kind(case, device):
    model, x, y = on(device, case.model().eval(), *case.batch())
    found = model.log_prob(x, y)
    if found is None:
        return
    assert isinstance(found, LogProb)
    assert isinstance(found.kind, Kind)
    assert found.value.shape == (len(x),)
    assert torch.isfinite(found.value).all()
    if model.space.discrete and found.kind is Kind.EXACT:
        assert (found.value <= 0).all()


@every_model
def test_a_short_fit_changes_the_model_and_repeats_for_a_seed(case):
    x, y = case.batch(64)
    models = [case.model() for _ in range(2)]
    before = {name: value.detach().clone() for name, value in models[0].named_parameters()}
    for model in models:
        history = fit(model, x if y is None else (x, y), steps=8, batch_size=16, progress=False)
        assert set(history.losses) == set(model.parameter_groups())
        assert not model.training
    after = [model.state_dict() for model in models]
    assert any((after[0][name] != value).any() for name, value in before.items())
    for name, value in after[0].items():
        torch.testing.assert_close(value, after[1][name], rtol=0, atol=0)


@every_model
def test_saving_and_loading_gives_the_same_model(case, tmp_path):
    model, y = case.model().eval(), case.batch()[1]
    model.save_pretrained(tmp_path / "saved")
    loaded = type(model).from_pretrained(tmp_path / "saved")
    assert loaded.space == model.space
    assert not loaded.training
    for one in (model, loaded):
        torch.manual_seed(0)
        one.kept = one.sample(4, y if y is None else y[:4])
    torch.testing.assert_close(model.kept, loaded.kept, rtol=0, atol=0)


@every_model
def test_tensors_are_made_on_the_models_device(case):
    """With another default device, a tensor made without `device=` lands there, and mixing the two fails."""
    model, (x, y) = case.model(), case.batch()
    with torch.device("meta"):
        for turn in model.training_step(x, y):
            assert turn.loss.device.type == "cpu"
        assert model.sample(3, y if y is None else y[:3]).device.type == "cpu"
        found = model.log_prob(x, y)
        assert found is None or found.value.device.type == "cpu"


@every_model
def test_bad_input_is_refused_in_words(case):
    model, (x, y) = case.model().eval(), case.batch()
    with pytest.raises(ValueError, match="shape"):
        next(model.training_step(x[:, ..., :-1], y))
    with pytest.raises(ValueError, match="batch dimension"):
        next(model.training_step(x[0], y))
    with pytest.raises(TypeError, match=r"float|int64"):
        next(model.training_step(x.int(), y))
    with pytest.raises(ValueError, match=r"is on meta.*move it"):
        next(model.training_step(x.to("meta"), y))
    with pytest.raises(ValueError, match="n ≥ 1"):
        model.sample(0)
    if case.classes is None:
        with pytest.raises(ValueError, match="not conditional"):
            model.sample(2, torch.tensor([0, 1]))
    else:
        if case.draws_labels:
            assert len(model.sample(2)) == 2
        else:
            with pytest.raises(ValueError, match="pass y"):
                model.sample(2)
        with pytest.raises(ValueError, match="labels must lie in"):
            model.sample(2, torch.tensor([0, case.classes]))
        with pytest.raises(TypeError, match="int64"):
            model.sample(2, torch.tensor([0.0, 1.0]))
