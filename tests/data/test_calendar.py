"""Frequencies against pandas, which names them; calendar features against the standard library."""

import datetime
import zoneinfo

import numpy as np
import pytest

from lstm_jax.data.calendar import parse_frequency
from lstm_jax.data.infer_frequency import infer_frequency
from lstm_jax.errors import ConfigError

pandas = pytest.importorskip("pandas", reason="pandas is the reference for frequencies")
NAMES = ("s", "30s", "min", "30min", "h", "6h", "D", "2D", "B", "W-MON", "MS", "ME", "2MS", "QS")
NAMES += ("QE", "YS", "YE")


def _stamps(name, count=40):
    return pandas.date_range("2023-12-29 06:00", periods=count, freq=name).to_numpy()


@pytest.mark.parametrize("name", NAMES)
def test_stamps_are_those_of_pandas(name):
    expected = _stamps(name).astype("datetime64[s]")
    frequency = parse_frequency(name)
    found = frequency.stamps(expected[0], 40)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(frequency.stamps(expected[9], 12, -9), expected[:12])
    np.testing.assert_array_equal(frequency.positions(expected[0], expected), np.arange(40))


@pytest.mark.parametrize("name", NAMES)
def test_a_frequency_is_found_in_its_stamps_with_gaps_too(name):
    stamps = _stamps(name).astype("datetime64[s]")
    expected = str(parse_frequency(name))
    assert str(infer_frequency([stamps])) == expected
    assert str(infer_frequency([np.delete(stamps, [7, 20]), stamps[11:]])) == expected


def test_what_is_no_step_has_no_position():
    daily = parse_frequency("D")
    stamps = np.array(["2024-01-03", "2024-01-04T01", "2023-12-31"], "datetime64[s]")
    assert daily.positions(np.datetime64("2024-01-01"), stamps).tolist() == [2, -1, -1]
    month = parse_frequency("MS")
    stamps = np.array(["2024-03-01", "2024-03-02"], "datetime64[s]")
    assert month.positions(np.datetime64("2024-01-01"), stamps).tolist() == [2, -1]
    weekend = np.array(["2024-01-06"], "datetime64[s]")  # a Saturday
    assert parse_frequency("B").positions(np.datetime64("2024-01-05"), weekend).tolist() == [-1]


def test_a_row_too_many_does_not_change_the_frequency():
    stamps = np.sort(np.append(_stamps("h"), np.datetime64("2023-12-29T07:07"))).astype(
        "datetime64[s]"
    )
    assert str(infer_frequency([stamps])) == "h"
    assert infer_frequency([stamps[:1]]) is None


@pytest.mark.parametrize(
    ("name", "season"),
    [("15min", 96), ("h", 24), ("D", 7), ("B", 5), ("W", 52), ("MS", 12), ("QE", 4), ("YS", 1)],
)
def test_seasons(name, season):
    assert parse_frequency(name).season == season


def test_lags_are_around_days_weeks_and_years():
    hours = parse_frequency("h").lags(24 * 8)
    assert hours[:8] == (1, 2, 3, 4, 5, 6, 7, 23)
    assert {24 * 7 - 1, 24 * 7, 24 * 7 + 1} <= set(hours)
    assert max(hours) <= 24 * 8
    assert {11, 12, 13, 36} <= set(parse_frequency("MS").lags(100))


def test_positions_in_cycles_are_those_of_the_standard_library():
    zone = zoneinfo.ZoneInfo("Australia/Melbourne")  # puts its clocks back on 2024-04-06T16:00Z
    frequency = parse_frequency("30min", "Australia/Melbourne")
    start = np.datetime64("2024-04-05T11:30:00")
    found = frequency.features(start, 200)
    assert np.abs(found).max() <= 0.5
    for step, row in enumerate(found):
        utc = datetime.datetime(2024, 4, 5, 11, 30, tzinfo=datetime.UTC)
        local = (utc + datetime.timedelta(minutes=30 * step)).astimezone(zone)
        day = (local.hour * 60 + local.minute) / 1440
        year = local.timetuple().tm_yday - 1
        positions = (day, local.weekday() / 6, (local.day - 1) / 30, year / 365)
        np.testing.assert_allclose(row[::3], np.array(positions) - 0.5, atol=1e-6)
        angles = (
            2 * np.pi * np.array([day, local.weekday() / 7, (local.day - 1) / 31, year / 365.25])
        )
        np.testing.assert_allclose(row[1::3], np.sin(angles) / 2, atol=1e-6)
        np.testing.assert_allclose(row[2::3], np.cos(angles) / 2, atol=1e-6)
    assert frequency.names[::3] == ("time_of_day", "day_of_week", "day_of_month", "day_of_year")


@pytest.mark.parametrize("name", NAMES)
def test_every_frequency_has_a_name_for_each_feature(name):
    frequency = parse_frequency(name)
    features = frequency.features(np.datetime64("2024-01-01T00:00:00"), 3)
    assert features.shape == (3, len(frequency.names))
    assert np.isfinite(features).all()


def test_what_is_no_frequency_or_zone():
    for text in ("fortnight", "", "0h", "-1h", "1.5h", "h h"):
        with pytest.raises(ConfigError, match=r"frequency: .* is none; it is a number and one of"):
            parse_frequency(text)
    for zone in ("Europe/Atlantis", "", "../etc/passwd"):
        with pytest.raises(ConfigError, match="no time zone is called"):
            parse_frequency("h", zone)
