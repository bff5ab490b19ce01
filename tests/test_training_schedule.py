import pytest

from minilm.training.schedule import warmup_cosine


def test_it_rises_then_falls_to_the_floor():
    factors = [warmup_cosine(step, 100, warmup=0.1, floor=0.05) for step in range(100)]
    assert factors[:10] == pytest.approx([k / 10 for k in range(1, 11)])
    assert factors[10] == 1
    assert all(a >= b for a, b in zip(factors[10:], factors[11:], strict=False))
    assert factors[55] == pytest.approx((1 + 0.05) / 2)
    assert 0.05 < factors[-1] < 0.052


@pytest.mark.parametrize("total", [1, 2, 3])
def test_short_runs_have_a_rate_too(total):
    assert all(0 < warmup_cosine(step, total) <= 1 for step in range(total))
