"""Steps of a text pipeline."""

import pytest

from lstm_jax.data.text_steps import one_line, remove_markup, split_punctuation


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("good.Bad", "good.Bad"),
        ("good. Bad!!", "good . Bad ! !"),
        ("(well-known) don't", "( well-known ) don't"),
        ("10/10, $3.5", "10/10 , $ 3.5"),
        ("«schön», 日本語。", "« schön » , 日本語 。"),
        ("a...\n b", "a . . . \n b"),
        ("", ""),
    ],
)
def test_marks_stand_alone(text, expected):
    assert split_punctuation(text) == expected
    assert split_punctuation(expected) == expected


def test_markup_goes_and_what_is_no_markup_stays():
    assert remove_markup("a<br/>b<BR>c") == "a\nb\nc"
    assert remove_markup("1 < 2 and x > y &lt;b&gt;") == "1 < 2 and x > y <b>"
    assert remove_markup('<a href="x">link</a> <3') == "link <3"


def test_one_line_has_no_break():
    assert one_line("\n a \t\n b\u2003c ") == "a b c"
