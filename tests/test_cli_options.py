"""What the words of the command line mean: indices, free bits, radii and regions."""

import argparse
from fractions import Fraction

import numpy as np
import pytest

from bnnverify.cli.options import OPTIONS, free_bits, span
from bnnverify.cli.region import Radius, make_region, read_radius
from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.network import BitInput, Network, Output, ThresholdInput
from bnnverify.regions import CostBall, FreeBits, HammingBall, PixelBox


@pytest.fixture
def bits():
    return Network((), Output(np.ones((2, 4))), BitInput((4,)))


@pytest.fixture
def pixels():
    return Network((), Output(np.ones((2, 4))), ThresholdInput([100, 50, 0, 200], [True] * 4))


@pytest.mark.parametrize(
    ("text", "rows"), [("3", [3]), ("0:3", [0, 1, 2]), (":2", [0, 1]), ("8:", [8, 9]), (":", range(10))]
)
def test_an_index_names_rows(text, rows):
    assert list(span(text).positions(10, "here")) == list(rows)


@pytest.mark.parametrize("text", ["", "x", "-1", "1:2:3", "1.5", "1,2", "a:b"])
def test_what_is_no_index_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="neither an index"):
        span(text)


@pytest.mark.parametrize("text", ["10", "0:11", "3:3", "10:"])
def test_rows_that_do_not_exist_are_refused(text):
    with pytest.raises(UsageError, match="here has rows 0 to 9"):
        span(text).positions(10, "here")


@pytest.mark.parametrize(
    ("text", "indices"), [("3", (3,)), ("3,7,20-22", (3, 7, 20, 21, 22)), ("5, 4,5", (4, 5)), ("1-1", (1,))]
)
def test_free_bits_are_indices_and_ranges(text, indices):
    assert free_bits(text) == indices


@pytest.mark.parametrize("text", ["-3", "3-", "7-3", "1--3", "0-999999999", ","])
def test_what_is_no_list_of_bits_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        free_bits(text)


def test_a_file_of_free_bits_may_not_be_binary_or_missing(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("binary", "missing"):
        with pytest.raises(argparse.ArgumentTypeError, match="readable file"):
            free_bits(str(tmp_path / name))


@pytest.mark.parametrize(
    ("eps", "norm", "expected"),
    [
        ("3", None, Radius("hamming", 3)),
        ("0", None, Radius("linf", Fraction(0))),
        ("8/255", None, Radius("linf", Fraction(8, 255))),
        ("0.1", None, Radius("linf", Fraction(1, 10))),
        ("1.0", None, Radius("linf", Fraction(1))),
        ("1", "linf", Radius("linf", Fraction(1))),
        ("7", "l1", Radius("l1", 7)),
        ("7", "l2", Radius("l2", 7)),
        ("7", "l0", Radius("l0", 7)),
    ],
)
def test_a_radius_on_pixels_is_read_in_its_norm(pixels, eps, norm, expected):
    assert read_radius(pixels, eps, norm) == expected


def test_a_radius_on_bits_counts_flips(bits):
    assert read_radius(bits, "3", None) == Radius("hamming", 3)
    with pytest.raises(UsageError, match="expected an integer"):
        read_radius(bits, "0.1", None)


@pytest.mark.parametrize("eps", ["2/1", "-0.1", "nan", "inf", "1/0", "", "1e9", "x"])
def test_what_is_no_fraction_of_the_range_is_refused(pixels, eps):
    with pytest.raises(UsageError, match="fraction of the"):
        read_radius(pixels, eps, "linf")


def test_each_norm_has_its_region(pixels):
    image = np.array([90, 60, 5, 210])
    assert isinstance(make_region(pixels, image, Radius("hamming", 2), None), HammingBall)
    assert isinstance(make_region(pixels, image, Radius("l0", 2), None), HammingBall)
    assert isinstance(make_region(pixels, image, Radius("linf", Fraction(1, 2)), None), PixelBox)
    assert isinstance(make_region(pixels, image, None, (1,)), FreeBits)
    l1, l2 = (make_region(pixels, image, Radius(norm, 121), None) for norm in ("l1", "l2"))
    assert isinstance(l1, CostBall)
    assert l1.on(pixels).size == 2**3
    assert l2.on(pixels).size == sum(cost <= 121 for cost in (0, 100, 121, 121))


def test_a_pixel_that_cannot_flip_does_not_count(pixels):
    assert make_region(pixels, np.array([90, 60, 5, 210]), Radius("hamming", 4), None).on(pixels).size == 2**3


def test_norms_of_pixels_need_pixels(bits):
    for radius in (Radius("l1", 1), Radius("linf", Fraction(1, 2))):
        with pytest.raises(UnsupportedError):
            make_region(bits, np.ones(4, dtype=np.int8), radius, None).on(bits)


def test_every_option_has_a_help_text():
    assert all(len(option.help) > 10 for option in OPTIONS.values())
