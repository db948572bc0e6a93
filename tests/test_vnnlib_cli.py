"""The commands of VNN-LIB: one word on the first line, exit code 0 for every answer, 2 for what is not understood."""

import gzip
import time

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the package onnx is not installed")

from bnnverify.cli.main import main
from bnnverify.vnnlib import decide
from tests.paths import PEERS, needs_peers
from tests.vnnlibworld import first_version, parsed_witness, second_version, write_chain, write_dense

EITHER = [[(0, 1, False)], [(1, 0, False)]]


@pytest.fixture
def run(tmp_path, capsys):
    """Run a command on the files of a folder; gives code, the lines of stdout, and stderr."""

    def command(*words):
        code = main(
            [
                str(tmp_path / w) if "=" not in w and w.endswith((".onnx", ".vnnlib", ".gz", ".npz")) else w
                for w in words
            ]
        )
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err

    write_dense(tmp_path / "net.onnx", np.random.default_rng(0))
    (tmp_path / "sat.vnnlib").write_text(first_version([2] * 3, [4] * 3, EITHER))
    (tmp_path / "unsat.vnnlib").write_text(first_version([4] * 3, [2] * 3, EITHER))
    return command


def test_sat_is_followed_by_a_witness_and_exits_0(run):
    code, lines, err = run("vnnlib", "net.onnx", "sat.vnnlib", "--timeout", "20")
    assert (code, lines[0], err) == (0, "sat", "")
    inputs, outputs = parsed_witness("\n".join(lines[1:]))
    assert all(2 <= x <= 4 for x in inputs)
    assert len(outputs) == 3


def test_unsat_stands_alone_and_exits_0(run):
    code, lines, _ = run("vnnlib", "net.onnx", "unsat.vnnlib", "--timeout", "20")
    assert (code, lines) == (0, ["unsat"])


def test_gzipped_files_are_read(run, tmp_path):
    for name in ("net.onnx", "sat.vnnlib"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    assert run("vnnlib", "net.onnx.gz", "sat.vnnlib.gz")[1][0] == "sat"


def test_a_limit_on_time_gives_the_words_of_both_versions_and_holds(run, tmp_path, monkeypatch):
    monkeypatch.setattr(decide, "read_property", lambda path: time.sleep(30))
    start = time.monotonic()
    code, lines, err = run("vnnlib", "net.onnx", "sat.vnnlib", "--timeout", "0.5")
    assert time.monotonic() - start < 5
    assert (code, lines) == (0, ["timeout"])
    assert "the limit came first" in err
    (tmp_path / "two.vnnlib").write_text(second_version([2] * 3, [4] * 3, EITHER, element="real"))
    code, lines, _ = run("verify", "two.vnnlib", "--network", f"f={tmp_path / 'net.onnx'}", "--timeout", "0.5")
    assert (code, lines) == (0, ["timed-out"])


def test_a_limit_on_memory_gives_unknown(run, monkeypatch):
    def greedy(path):
        return [bytearray(1 << 24) for _ in range(1000)]

    monkeypatch.setattr(decide, "read_property", greedy)
    code, lines, err = run("vnnlib", "net.onnx", "sat.vnnlib", "--memory", "100")
    assert (code, lines) == (0, ["unknown"])
    assert "out of memory" in err


def test_unknown_says_why_on_stderr(run, tmp_path, monkeypatch):
    monkeypatch.setattr(decide, "UNLIMITED_SECONDS", 0.2)
    (tmp_path / "p.vnnlib").write_text(first_version([0.1] * 3, [0.1] * 3, EITHER))
    code, lines, _ = run("vnnlib", "net.onnx", "p.vnnlib")
    assert (code, lines) == (0, ["unknown"])


def test_verify_takes_the_network_by_its_declared_name(run, tmp_path):
    (tmp_path / "two.vnnlib").write_text(second_version([2] * 3, [4] * 3, EITHER, element="real", output="real"))
    code, lines, _ = run("verify", "two.vnnlib", "--network", f"f={tmp_path / 'net.onnx'}")
    assert (code, lines[0], lines[1], lines[5]) == (0, "sat", "X real [1,3]", "Y real [1,3]")
    code, lines, err = run("verify", "two.vnnlib", "--network", f"g={tmp_path / 'net.onnx'}")
    assert (code, lines) == (2, [])
    assert "--network names g, expected f" in err
    code, _, err = run("verify", "sat.vnnlib", "--network", f"f={tmp_path / 'net.onnx'}")
    assert code == 2
    assert "is of version 1, expected 2" in err


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        ("vnnlib-versions", ["2.0", "2.0"]),
        ("multiple-network-theories", ["SNET"]),
        ("unsat-proofs", ["false"]),
        ("onnx-opset-versions", ["7", "26"]),
    ],
)
def test_supports_answers_line_by_line(run, capability, expected):
    assert run("supports", f"--{capability}")[:2] == (0, expected)


def test_supports_names_the_operators_and_no_float_types(run):
    assert {"Conv", "Sign", "BipolarQuant"} <= set(run("supports", "--onnx-operators")[1])
    types = run("supports", "--onnx-element-types")[1]
    assert "uint8" in types
    assert not [name for name in types if "float" in name]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("vnnlib", "absent.onnx", "sat.vnnlib"), "absent.onnx: cannot be read"),
        (("vnnlib", "net.onnx", "absent.vnnlib"), "absent.vnnlib: cannot be read"),
        (("vnnlib", "net.onnx", "net.onnx"), "net.onnx: "),
        (("vnnlib", "net.onnx", "sat.vnnlib", "--proof", "p.txt"), "ends in .npz"),
        (("vnnlib", "net.onnx", "sat.vnnlib", "--timeout", "0"), "a number of seconds above 0"),
        (("verify", "sat.vnnlib", "--network", "f"), "expected NAME=FILE"),
        (("supports",), "required"),
        (("supports", "--magic"), "--"),
    ],
)
def test_what_is_not_understood_is_one_sentence_and_exits_2(run, words, message):
    code, lines, err = run(*words)
    assert (code, lines) == (2, [])
    assert message in err
    assert err.count("\n") == 1


def test_a_proof_is_saved_and_accepted_by_the_checker(run, tmp_path):
    from bnnverify.patches.certificate import read_certificate
    from bnnverify.patches.check import rejection

    rng = np.random.default_rng(5)
    conv = rng.choice([-1, 1], size=(4, 1, 2, 2)).astype(np.float32)
    last = rng.choice([-1, 1], size=(64, 3)).astype(np.float32)
    steps = [("Conv", [conv], {}), ("Sign", [], {}), ("Add", [np.float32(0.1)], {}), ("Sign", [], {})]
    write_chain(tmp_path / "net.onnx", (1, 5, 5), [*steps, ("Flatten", [], {}), ("MatMul", [last], {})])
    centre = rng.integers(20, 200, 25)
    for label in range(3):
        races = [[(c, label, False)] for c in range(3) if c != label]
        (tmp_path / "p.vnnlib").write_text(first_version(centre - 1, centre + 1, races))
        code, lines, err = run("vnnlib", "net.onnx", "p.vnnlib", "--timeout", "10", "--proof", "p.npz")
        if lines[0] == "unsat":
            break
    assert (code, lines) == (0, ["unsat"])
    assert "p.npz" in err
    prop = decide.read_property(tmp_path / "p.vnnlib")
    subject = decide.load_subject(tmp_path / "net.onnx", prop, prop.cases)
    wanted = [c for c in range(3) if c != label]
    certificate = read_certificate(tmp_path / "p.npz")
    assert rejection(certificate, subject.network, *subject.real_box(prop.cases[0]), label, wanted, real=True) is None
    code, lines, _ = run("check-proof", "p.npz", "net.onnx", "--property", "p.vnnlib")
    assert (code, lines[0][:9]) == (0, "ACCEPTED:")
    (tmp_path / "wider.vnnlib").write_text(first_version(centre - 90, centre + 90, races))
    code, lines, _ = run("check-proof", "p.npz", "net.onnx", "--property", "wider.vnnlib")
    assert (code, lines[0][:9]) == (1, "REJECTED:")


@needs_peers
def test_a_traffic_sign_network_is_loaded_and_violated_in_seconds(capsys):
    folder = PEERS / "vnncomp"
    net = next(folder.glob("*.onnx.gz"))
    code = main(["vnnlib", str(net), str(folder / "model_30_idx_7040_eps_5.00000.vnnlib.gz"), "--timeout", "60"])
    lines = capsys.readouterr().out.splitlines()
    assert (code, lines[0]) == (0, "sat")
    inputs, outputs = parsed_witness("\n".join(lines[1:]))
    assert (len(inputs), len(outputs)) == (2700, 43)
    assert [float(np.float32(x)) for x in inputs] == inputs
