from dataclasses import replace

from alpaca_core import Keep, Reject
from alpaca_core.testing import candidates, tiny_run

from alpacakit_my_filter import MyFilter, MyFilterOptions


def test_an_answer_with_a_phrase_is_rejected_and_another_is_kept():
    filter, row = MyFilter(MyFilterOptions(phrases=("As an AI",))), candidates()[0]
    assert filter.judge(row) == Keep()
    assert isinstance(filter.judge(replace(row, output="as an AI, I cannot eat")), Reject)


def test_a_run_uses_it(tmp_path):
    made = tiny_run(tmp_path, "--filter", "my-filter")
    assert made.code == 0 and len(made.rows) == 12, made.said
