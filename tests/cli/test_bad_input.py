"""Bad input: one clear sentence, exit code 2, nothing written."""

import pytest

from nnlib.array import gpu_problem

HEADER = "SessionId\tItemId\tTime\n"
GOOD = HEADER + "1\t7\t0\n1\t8\t1\n2\t7\t2\n2\t9\t3\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty"]),
        (HEADER, ["no events"]),
        ("SessionId\tTime\n1\t2\n", ["line 1", "no column 'ItemId'"]),
        ("SessionId,ItemId,Time\n1,2,3\n", ["line 1", "separator"]),
        (GOOD + "3\t7\n", ["line 6", "2 fields instead of 3"]),
        (GOOD + "3\t7\t1\t9\n", ["line 6", "4 fields"]),
        (GOOD + "3", ["line 6", "cut off"]),
        (GOOD + "3\t\t5\n", ["line 6", "ItemId"]),
        (GOOD + "3\t7\tnan\n", ["line 6", "Time", "nan"]),
        (GOOD + "3\t7\tsoon\n", ["line 6", "Time", "soon"]),
        (GOOD + "3\t7\tinf\n", ["line 6", "Time", "inf"]),
        (HEADER + "1\t7\t0\n2\t8\t1\n3\t9\t2\n", ["single event"]),
        (HEADER + "1\t7\t0\n1\t7\t1\n", ["1 item", "at least 2"]),
    ],
)
@pytest.mark.parametrize("model", ["GRU4Rec", "Markov"])
def test_training_file(refused, tmp_path, text, words, model):
    log = tmp_path / "log.tsv"
    log.write_text(text)
    sentence = refused("train", log, "--out", tmp_path / "m", "--model", model)
    assert all(word in sentence for word in words), sentence


def test_binary_training_file(refused, tmp_path):
    log = tmp_path / "log.tsv"
    log.write_bytes(bytes(range(256)) * 10)
    assert "log.tsv" in refused("train", log, "--out", tmp_path / "m")


def test_missing_files_and_folders(refused, logs, tmp_path):
    train, test = logs
    out = tmp_path / "m"
    assert "no such file" in refused("train", tmp_path / "none.tsv", "--out", out)
    assert "folder" in refused("train", tmp_path, "--out", out)
    assert "no such file" in refused("train", train, "--test", tmp_path / "none", "--out", out)
    assert "does not exist" in refused("train", train, "--out", tmp_path / "no" / "m")
    assert "is a folder" in refused("train", train, "--out", tmp_path)
    assert "no such" in refused("train", train, "--config", tmp_path / "no.toml", "--out", out)
    assert "no such file" in refused("evaluate", tmp_path / "none", test)
    assert "no such file" in refused("recommend", tmp_path / "none", "1")
    assert "is a folder" in refused("recommend", tmp_path, "1")
    assert "is a folder" in refused("train", train, "--config", tmp_path, "--out", out)
    assert "no such file" in refused("reproduce", "rsc15", tmp_path / "none", "--out", out)


def test_files_that_are_something_else(refused, logs, gru_file):
    """A sentence, not the bytes."""
    train, test = logs
    assert "not a safetensors file, which models are saved as" in refused("evaluate", train, test)
    sentence = refused("evaluate", gru_file, gru_file)
    assert "is it a table of text?" in sentence
    assert len(sentence) < 300


def test_the_output_is_none_of_the_inputs(refused, tmp_path):
    log = tmp_path / "log.tsv"
    log.write_text(GOOD)
    assert "also the training file" in refused("train", log, "--out", log)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER + "1\t70\t0\n1\t80\t1\n", "no item in common"),
        (HEADER + "1\t7\t0\n1\t80\t1\n", "nothing to"),
        (HEADER + "1\t7\t0\n2\t8\t1\n", "nothing to"),
        (HEADER, "no events"),
    ],
)
def test_test_file_is_checked_before_training(refused, nnlib, monkeypatch, tmp_path, text, words):
    from nnlib.models import Popularity

    log, test, out = tmp_path / "log.tsv", tmp_path / "test.tsv", tmp_path / "m"
    log.write_text(GOOD)
    test.write_text(text)
    assert nnlib("train", log, "--out", out, "--model", "Popularity").code == 0
    assert words in refused("evaluate", out, test)
    monkeypatch.setattr(Popularity, "fit", lambda *_: pytest.fail("trained all the same"))
    options = ["--out", tmp_path / "m2", "--model", "Popularity", "--test", test]
    assert words in refused("train", log, *options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--set dropuot_hidden=0.2", ["--set dropuot_hidden", "did you mean 'dropout_hidden'"]),
        ("--set colour=1", ["no setting 'colour'", "hidden, loss"]),
        ("--set hidden=100", ["hidden = 100", "a list"]),
        ("--set hidden=[0]", ["hidden"]),
        ("--set hidden=[1.5]", ["a list, as in [100]"]),
        ("--set hidden", ["name=value"]),
        ("--set batch_size=2.5", ["a whole number"]),
        ("--set batch_size=true", ["a whole number"]),
        ("--set batch_size=0", ["batch_size=0", "at least 1"]),
        ("--set lr=fast", ["lr = 'fast'", "a number"]),
        ("--set n_sample=0 --set batch_size=1", ["batch_size=1", "n_sample=0"]),
        ("--set loss=bpr-max --set logq=1", ["logq", "bpr-max"]),
        ("--set dropout_hidden=1", ["dropout_hidden"]),
        ("--set embedding=3.5", ["embedding"]),
        ("--set lr=0.1 --set lr=0.2", ["given twice"]),
        ("--lr 0.1 --set lr=0.2", ["--lr", "--set lr", "keep one"]),
        ("--lr 0", ["lr=0"]),
        ("--lr nan", ["lr=nan"]),
        ("--lr -1", ["lr=-1"]),
        ("--epochs 0", ["epochs=0", "at least 1"]),
        ("--seed -1", ["seed=-1"]),
        ("--loss hinge", ["loss='hinge'", "cross-entropy"]),
        ("--device tpu", ["device='tpu'", "'cpu', 'cuda'"]),
        ("--model GRU4Rex", ["no model 'GRU4Rex'", "'GRU4Rec'"]),
        ("--model gru4rek", ["no model 'gru4rek'", "'GRU4Rec'"]),
        ("--model=", ["no model ''", "GRU4Rec"]),
        ("--model MatrixFactorization", ["no ratings", "--value"]),
        ("--model Popularity --epochs 3", ["--epochs", "Popularity has no setting 'epochs'"]),
        ("--model Popularity --resume", ["--resume", "one go"]),
        ("--user ItemId", ["different columns"]),
        ("--time When", ["no column 'When'"]),
    ],
)
def test_options(refused, logs, tmp_path, options, words):
    sentence = refused("train", logs[0], "--out", tmp_path / "m", *options.split())
    assert all(word in sentence for word in words), sentence


@pytest.mark.skipif(gpu_problem() is None, reason="there is a GPU")
def test_a_gpu_where_there_is_none(refused, logs, tmp_path):
    sentence = refused("train", logs[0], "--out", tmp_path / "m", "--device", "cuda")
    assert "device='cuda'" in sentence
    assert "device='cpu'" in sentence


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hidden = [\n", ["not a TOML file", "at end of document"]),
        ("\x80", ["not a TOML file"]),
        ("[model]\nhiden = [100]", ["gru.toml", "did you mean 'hidden'"]),
        ("[model]\nlr = '0.1'", ["gru.toml", "lr = '0.1'", "a number"]),
        ("lr = 0.1\n[model]\nepochs = 1", ["'lr'", "[model]"]),
        ("name = 3", ["name = 3"]),
        ("name = 'LSTM4Rec'", ["--model GRU4Rec", "'LSTM4Rec'"]),
        ("[model]\nname = 'Markov'", ["--model GRU4Rec", "'Markov'"]),
        ("[optimizer]\nlr = 0.1", ["no setting 'optimizer'"]),
    ],
)
def test_configuration(refused, logs, tmp_path, text, words):
    config = tmp_path / "gru.toml"
    config.write_text(text, encoding="latin-1")
    options = ["--config", config, "--out", tmp_path / "m", "--model", "GRU4Rec"]
    sentence = refused("train", logs[0], *options)
    assert all(word in sentence for word in words), sentence


def test_a_foreign_checkpoint(refused, nnlib, logs, small, gru_file, tmp_path):
    checkpoint = tmp_path / "m.checkpoint"
    checkpoint.write_bytes(gru_file.read_bytes())
    options = ["train", logs[0], "--out", tmp_path / "m", *small]
    assert "add --resume" in refused(*options)
    assert "checkpoint" in refused(*options, "--resume")
    checkpoint.write_bytes(b"not a checkpoint")
    assert "m.checkpoint" in refused(*options, "--resume")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--k 0", "k="),
        ("--k 5,twenty", "--k 5,twenty"),
        ("--k ,", "--k ,"),
        ("--ties random", "ties='random'"),
    ],
)
def test_evaluate_options(refused, gru_file, logs, options, words):
    assert words in refused("evaluate", gru_file, logs[1], *options.split())


def test_recommend_options(refused, gru_file):
    assert "at least one" in refused("recommend", gru_file, "1", "-n", "0")
    sentence = refused("recommend", gru_file, "4711", "shoe")
    assert "knows none of the items 4711, shoe" in sentence
    assert "none of the items --5, ''" in refused("recommend", gru_file, "--", "--5", "")


def test_usage(nnlib):
    for args in (["train"], ["fly"], ["recommend"], ["train", "x", "--epochs", "many"]):
        outcome = nnlib(*args)
        assert outcome.code == 2
        assert outcome.out == ""


def test_demo_options(refused, tmp_path):
    (tmp_path / "file").write_text("")
    assert "is a file" in refused("demo", "--out", tmp_path / "file")
    assert "does not exist" in refused("demo", "--out", tmp_path / "no" / "demo")
    assert "--seed -1" in refused("demo", "--out", tmp_path / "demo", "--seed", -1)


def test_gradcheck_of_what_is_not_there(refused):
    assert "no case 'Perceptron'" in refused("gradcheck", "Perceptron")
    assert "did you mean 'GRU'?" in refused("gradcheck", "gru")
    assert "--seed -1" in refused("gradcheck", "GRU", "--seed", -1)


def test_brackets_in_the_help_are_text(nnlib):
    assert "[model]" in nnlib("train", "--help").out
    assert "nnlib[export]" in nnlib("export", "--help").out
