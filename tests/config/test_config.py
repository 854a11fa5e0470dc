"""The config mechanism: completion, overrides, checks, descriptions."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any, Literal

import pytest

from lstm_jax.cells import lstm
from lstm_jax.config import (
    PositiveInt,
    Rate,
    apply_overrides,
    build,
    complete,
    describe,
    difference,
    fields,
    find,
    load_python,
    names,
    part_of,
    parts_of,
    register,
    to_json,
)
from lstm_jax.config.overrides import parse
from lstm_jax.config.registry import _HOMES
from lstm_jax.config.schema import Field, section_fields
from lstm_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    """Inner.

    Attributes:
      rate: a share,
        on two lines.
      mode: one of two.
    """

    rate: Rate = 0.0
    mode: Literal["a", "b"] = "a"

    def __post_init__(self):
        if self.mode == "b" and self.rate == 0:
            raise ConfigError("rate: must not be 0 in mode b")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
    """Outer.

    Attributes:
      cell: the cell.
      source: the source.
      steps: the steps.
      size: how many.
      limit: how many at most.
      inner: the rest.
    """

    cell: Callable[..., Any] = part_of("cell", "lstm")
    source: Any = part_of("source", "python_docs", inline=True)
    steps: Any = parts_of("text_step")
    size: PositiveInt = 3
    limit: int | None = None
    inner: Inner


def override(*texts, **values):
    return apply_overrides(Outer, complete(Outer, values), texts)


def problems(function, *arguments):
    with pytest.raises(ConfigError) as error:
        function(*arguments)
    return error.value.problems


def test_complete_fills_in_every_default():
    config = complete(Outer, {"inner": {"rate": 0.5}})
    assert config.size == 3
    assert config.limit is None
    assert config.inner.to_dict() == {"rate": 0.5, "mode": "a"}
    assert config.cell.name == "lstm"
    assert config.cell.forget_bias == 1.0
    assert config.source == "python_docs"


def test_complete_names_every_field_that_does_not_exist():
    found = problems(complete, Outer, {"sise": 1, "inner": {"rates": 1}, "cell": "lstn"})
    assert found[0].startswith("sise: there is no such field; did you mean size?")
    assert any("inner.rates" in problem and "did you mean rate?" in problem for problem in found)
    assert any("cell.name: no cell is called 'lstn'" in problem for problem in found)


def test_build_makes_parts_functions_of_what_the_program_gives():
    built = build(Outer, override("cell.forget_bias=2.5", "inner.rate=0.25"))
    assert built.cell.func is lstm
    assert built.cell.keywords["forget_bias"] == 2.5
    assert built.inner == Inner(rate=0.25)
    assert callable(built.source)


def test_numbers_must_be_finite():
    for value in ("nan", "inf"):
        assert problems(build, Outer, override(f"inner.rate={value}"))


def test_build_tells_every_problem_at_once():
    found = problems(build, Outer, override("size=0", "inner.mode=b", "inner.rate=0"))
    assert found == ["size: must be int >= 1, got 0", "inner.rate: must not be 0 in mode b"]


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("size=7", "size", 7),
        ("limit=7", "limit", 7),
        ("limit=None", "limit", None),
        ("inner.rate=1e-1", "inner.rate", 0.1),
        ("inner.mode=b", "inner.mode", "b"),
        ("cell.forget_bias=0", "cell.forget_bias", 0.0),
    ],
)
def test_overrides_are_typed(text, path, value):
    config = override(text)
    for name in path.split("."):
        config = config[name]
    assert config == value
    assert type(config) is type(value)


def test_a_part_chosen_by_override_brings_its_fields_in_any_order():
    config = override("path=a.txt,b.txt", "source=text_file", size=5)
    assert config.path == ("a.txt", "b.txt")
    assert config.test_share == 0.1
    assert config.size == 5
    back = apply_overrides(Outer, config, ["source=python_docs"])
    assert "path" not in back


def test_a_part_chosen_again_keeps_what_was_set():
    config = complete(Outer, {"cell": {"name": "lstm", "forget_bias": 3.0}})
    assert apply_overrides(Outer, config, ["cell=lstm"]).cell.forget_bias == 3.0
    assert apply_overrides(Outer, config, ["cell.name=lstm"]).cell.forget_bias == 3.0


def test_parts_in_sequence():
    config = override("steps=lowercase,normalize_unicode")
    assert [step.name for step in config.steps] == ["lowercase", "normalize_unicode"]
    assert [step("ÀB") for step in build(Outer, config).steps] == ["àb", "ÀB"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sizes=3", "sizes: there is no such field; did you mean size"),
        ("cel.forget_bias=3", "there is no section 'cel'; did you mean cell?"),
        ("cell.forgetbias=3", "cell.forgetbias: there is no such field in cell; did you mean"),
        ("size=many", "size: must be int >= 1, got 'many'"),
        ("size=inf", "size: must be int >= 1, got 'inf'"),
        ("steps[0].form=NFC", "steps has 0 parts"),
        ("size.x=3", "'size' is a value and has no fields"),
        ("inner=3", "inner: is a section; set one of rate, mode"),
        ("cell=gruu", "cell: no cell is called 'gruu'"),
        ("source=books", "no source is called 'books'"),
        ("steps=upper", "no text_step is called 'upper'"),
    ],
)
def test_overrides_that_do_not_fit_are_told(text, message):
    assert any(message in problem for problem in problems(override, text))


def test_fields_of_one_of_several_parts():
    config = complete(Outer, {"steps": ("lowercase", "normalize_unicode")})
    assert apply_overrides(Outer, config, ["steps[1].form=NFD"]).steps[1].form == "NFD"


def test_one_text_serves_where_several_may_stand():
    assert complete(Outer, {"source": "text_file", "path": "a.txt"}).path == ("a.txt",)


def test_durations_are_whole_steps_or_parts_of_epochs():
    from lstm_jax.training import build_experiment, experiment

    for text in ("0 steps", "1.5 steps", "0.0 epochs", "-3 epochs", "soon"):
        with pytest.raises(ConfigError, match=r"train\.duration"):
            build_experiment(experiment(train={"duration": text}))
    for text in ("1 step", "20 steps", "0.5 epochs", "10 epochs"):
        build_experiment(experiment(train={"duration": text}))


def test_difference_names_every_changed_field():
    old = json.loads(to_json(override()))
    new = json.loads(to_json(override("size=4", "steps=lowercase", "inner.rate=0.5")))
    assert difference(old, new) == [
        "inner.rate: 0.0 -> 0.5",
        "size: 3 -> 4",
        "steps: [] -> '(absent)'",
        "steps[0].name: '(absent)' -> 'lowercase'",
    ]


def test_json_and_back_is_the_same_config():
    config = override("steps=normalize_unicode", "limit=3", "source=text_file", "path=a.txt")
    assert to_json(complete(Outer, json.loads(to_json(config)))) == to_json(config)


def test_describe_lists_every_field_with_type_and_comment():
    rows = {row.path: row for row in describe(Outer, override("steps=normalize_unicode"))}
    assert rows["inner.rate"].comment == "a share, on two lines."
    assert rows["inner.rate"].type == "float in [0, 1)"
    assert rows["inner.mode"].type == "'a' | 'b'"
    assert rows["limit"].type == "int, optional"
    assert rows["cell"].value == "lstm"
    assert "cell.forget_bias" in rows
    assert rows["steps[0].form"].value == "NFC"


@pytest.mark.parametrize("kind", sorted(_HOMES))
def test_every_field_of_every_part_has_a_comment(kind):
    assert names(kind)
    for name in names(kind):
        for field in fields(find(kind, name)).values():
            assert field.comment, f"{kind} {name}: {field.name} has no comment"


def test_a_part_of_another_package_is_named_by_its_path(tmp_path, monkeypatch):
    (tmp_path / "my_parts.py").write_text(
        "from lstm_jax import register\n"
        "@register('text_step')\ndef shout(text: str, *, mark: str = '!') -> str:\n"
        "    return text + mark\n"
        "def not_a_part(text: str) -> str:\n    return text\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = complete(Outer, {"steps": ({"name": "my_parts:shout", "mark": "?"},)})
    assert build(Outer, config).steps[0]("a") == "a?"
    assert "no text_step" in problems(complete, Outer, {"steps": ("my_parts:not_a_part",)})[0]
    assert "cannot import" in problems(complete, Outer, {"steps": ("no_such_module:f",)})[0]
    assert "no text_step" in problems(complete, Outer, {"steps": ("os:system",)})[0]


def test_a_part_beside_its_section_has_no_field_of_the_same_name(tmp_path, monkeypatch):
    (tmp_path / "own_source.py").write_text(
        "from lstm_jax import register\n"
        "@register('source')\ndef sized(*, size: int = 1):\n    return size\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (problem,) = problems(complete, Outer, {"source": "own_source:sized"})
    assert "source: the source 'own_source:sized' has a field 'size', and so has" in problem


@pytest.mark.parametrize("task", names("task"))
def test_every_source_of_a_task_can_stand_in_its_section(task):
    data = fields(find("task", task))["data"].section
    for field in fields(data).values() if data else ():
        if field.part is not None and field.part.inline:
            for name in names(field.part.kind):
                section_fields(data, {field.name: name})


def test_two_parts_of_one_name_are_refused():
    def lstm():
        pass

    lstm.__module__ = "lstm_jax.elsewhere"
    with pytest.raises(ValueError, match="already defined in lstm_jax"):
        register("cell")(lstm)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x = (", ":1: SyntaxError"),
        ("def get_config():\n    return missing", ":2: NameError: name 'missing'"),
        ("x = 1", "defines no get_config"),
        ("def get_config():\n    return 3", "must return a ConfigDict, got int"),
    ],
)
def test_a_config_file_that_fails_is_told_with_its_line(tmp_path, content, message):
    path = tmp_path / "config.py"
    path.write_text(content)
    assert message in problems(load_python, str(path))[0]


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("a,b", ("a", "b")),
        ("('a', 'b')", ("a", "b")),
        ("(embedding|bias),layer_[0,1]/.*", ("(embedding|bias)", "layer_[0,1]/.*")),
        ("bias{1,2}=2", ("bias{1,2}=2",)),
        ("[bias", ("[bias",)),
        ("", ()),
    ],
)
def test_items_are_parted_by_commas_outside_of_brackets(text, items):
    assert parse(Field("names", tuple, (), ""), "names", text) == items


def _numbers(*, rates: tuple[Rate, ...] = (), sizes: tuple[PositiveInt, ...] = (1,)) -> tuple:
    """A part with numbers.

    Args:
      rates: shares.
      sizes: counts.
    """
    return rates, sizes


def test_tuples_of_numbers_are_read_and_checked():
    config = apply_overrides(_numbers, complete(_numbers, {}), ["rates=0.5, 0", "sizes=(3,)"])
    assert build(_numbers, config) == ((0.5, 0.0), (3,))
    with pytest.raises(ConfigError, match=r"sizes: must be numbers \(int >= 1\) .* got 'x'"):
        apply_overrides(_numbers, complete(_numbers, {}), ["sizes=x"])
    for wrong in ((0,), ("2",), (2.5,)):
        with pytest.raises(ConfigError, match=r"sizes: must be numbers .* among them"):
            build(_numbers, complete(_numbers, {"sizes": wrong}))


def test_an_integer_that_no_array_can_count_is_refused():
    assert "larger than any integer" in problems(build, Outer, override(f"size={10**11}"))[0]
