"""Models: presets against published figures, and config files with something wrong in them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import ramulator_configs
from pamsim.errors import InputError, InputErrors
from pamsim.model import list_models, load_model

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "max_position_embeddings": 4096,
    "torch_dtype": "float16",
}
OPT = {
    "architectures": ["OPTForCausalLM"],
    "model_type": "opt",
    "hidden_size": 512,
    "ffn_dim": 2048,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "vocab_size": 1000,
    "max_position_embeddings": 2048,
    "torch_dtype": "float16",
}


def write(path: Path, text: str | bytes) -> Path:
    file = path / "config.json"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def config(
    path: Path, base: dict = LLAMA, without: tuple[str, ...] = (), **changes: object
) -> Path:
    data = {k: v for k, v in {**base, **changes}.items() if k not in without}
    return write(path, json.dumps(data, indent=2))


def message(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_model(path)
    return str(caught.value)


# KV bytes a token over all layers: PAM, arXiv 2602.11521, section 3 works with these models; the
# numbers are 2 x KV heads x head dim x 2 B x layers. Parameters in billions: the models' reports.
@pytest.mark.parametrize(
    ("name", "kv_bytes", "group_size", "parameters"),
    [
        ("llama-3-70b", 2 * 8 * 128 * 2 * 80, 8, 70.6),
        ("llama-3-8b", 2 * 8 * 128 * 2 * 32, 4, 8.03),
        ("llama-3.1-405b", 2 * 8 * 128 * 2 * 126, 16, 405.9),
        ("llama-2-7b", 2 * 32 * 128 * 2 * 32, 1, 6.74),
        ("llama-2-13b", 2 * 40 * 128 * 2 * 40, 1, 13.0),
        ("llama-2-70b", 2 * 8 * 128 * 2 * 80, 8, 69.0),
        ("mistral-7b", 2 * 8 * 128 * 2 * 32, 4, 7.25),
        ("qwen2.5-7b", 2 * 4 * 128 * 2 * 28, 7, 7.61),
        ("qwen2.5-32b", 2 * 8 * 128 * 2 * 64, 5, 32.8),
        ("qwen2.5-72b", 2 * 8 * 128 * 2 * 80, 8, 72.7),
        ("opt-30b", 2 * 56 * 128 * 2 * 48, 1, 30.0),
        ("opt-175b", 2 * 96 * 128 * 2 * 96, 1, 175.0),
    ],
)
def test_preset_has_published_size(
    name: str, kv_bytes: int, group_size: int, parameters: float
) -> None:
    model = load_model(name)
    assert model.kv_bytes_per_token_layer * model.layers == kv_bytes
    assert model.group_size == group_size
    # Norms and biases are left out of weight_bytes: below half a percent of any of these.
    assert model.weight_bytes / 2 / 1e9 == pytest.approx(parameters, rel=0.01)


@pytest.mark.parametrize("name", list_models())
def test_every_figure_of_a_preset_has_a_source(name: str) -> None:
    model = load_model(name)
    path = Path(ramulator_configs.__file__).parent / "model"
    data = json.loads((path / f"{name}.json").read_text())
    sources = dict(model.sources)
    assert model.name == name
    assert set(sources) == set(data) - {"architectures", "model_type", "_sources"}
    for text in sources.values():
        named = ("assumption", "derived", "default of", "arXiv", "@")
        assert any(word in text for word in named) or text.count("/") >= 2, text
        assert "unnamed" not in text and not text.startswith(("/", "."))
        if text.startswith("assumption"):
            assert "(" in text, f"an assumption has a range: {text}"
            degenerate = re.search(r"\((\S+) (?:to|or) (\S+?)[;)]", text)
            assert not degenerate or degenerate[1] != degenerate[2], text


def test_presets_are_listed_sorted() -> None:
    names = list_models()
    assert list(names) == sorted(names)
    assert {"llama-3-8b", "qwen2.5-32b", "opt-175b", "mistral-7b"} <= set(names)


def test_config_file_directory_and_name(tmp_path: Path) -> None:
    file = config(tmp_path)
    by_file, by_directory = load_model(file), load_model(str(tmp_path))
    assert by_file == by_directory
    assert by_file.name == tmp_path.name
    assert (by_file.head_dim, by_file.kv_heads, by_file.dtype) == (64, 2, "fp16")
    assert by_file.sources == (("*", "config.json given by the user"),)
    named = config(tmp_path, _name_or_path="org/tiny-llama")
    assert load_model(named).name == "tiny-llama"


def test_left_out_fields_mean_what_the_library_takes(tmp_path: Path) -> None:
    plain = load_model(config(tmp_path, without=("num_key_value_heads", "torch_dtype")))
    assert plain.kv_heads == plain.query_heads == 8  # configuration_llama.py: None means MHA
    assert not plain.tied_embeddings
    assert dict(plain.sources)["torch_dtype"].startswith("assumption")
    opt = load_model(config(tmp_path, OPT))
    assert opt.tied_embeddings and opt.ffn_matrices == 2 and opt.kv_heads == 8
    null = load_model(config(tmp_path, num_key_value_heads=None, head_dim=None))
    assert (null.kv_heads, null.head_dim) == (8, 64)
    assert load_model(config(tmp_path, head_dim=80, dtype="bfloat16")).head_dim == 80


def test_byte_order_mark_and_windows_lines_are_accepted(tmp_path: Path) -> None:
    text = json.dumps(LLAMA, indent=2)
    expected = load_model(write(tmp_path, text))
    assert load_model(write(tmp_path, b"\xef\xbb\xbf" + text.encode())) == expected
    assert load_model(write(tmp_path, text.replace("\n", "\r\n"))) == expected


def test_position_counts_windows_lines(tmp_path: Path) -> None:
    text = json.dumps({**LLAMA, "num_hidden_layers": "two"}, indent=2)
    line = 1 + text[: text.index('"two"')].count("\n")
    column = len('  "num_hidden_layers": ') + 1
    for ending in ("\n", "\r\n", "\r"):
        file = write(tmp_path, text.replace("\n", ending))
        assert message(file) == (
            f'num_hidden_layers must be an integer, not "two" [{file}:{line}:{column}]'
        )


def test_every_fault_is_told_at_once_in_file_order(tmp_path: Path) -> None:
    file = config(
        tmp_path, num_hidden_layers=0, num_attention_heads=8, vocab_size=1.5, torch_dtype="int8"
    )
    with pytest.raises(InputErrors) as caught:
        load_model(file)
    words = [str(error).split()[0] for error in caught.value.errors]
    assert words == ["num_hidden_layers", "vocab_size", "torch_dtype"]


@pytest.mark.parametrize(
    "field", [f for f in LLAMA if f not in ("model_type", "torch_dtype", "num_key_value_heads")]
)
def test_missing_field_is_named(tmp_path: Path, field: str) -> None:
    assert f"{field} must be given" in message(config(tmp_path, without=(field,)))


def test_misspelt_field_is_suggested(tmp_path: Path) -> None:
    file = config(tmp_path, without=("vocab_size",), vocab_sise=1000)
    assert "vocab_size must be given" in message(file)
    assert "did you mean 'vocab_sise'?" in message(file)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "file must be JSON with a value here, not the end of the file [F:1:1]"),
        (
            "{",
            "file must be JSON with a key in double quotes here, not the end of the file [F:1:2]",
        ),
        (
            '{"a": 1,}',
            "file must be JSON with a key in double quotes here, not '}' [F:1:9] "
            "(JSON has no comma before a closing bracket)",
        ),
        ('{"a" 1}', "file must be JSON with ':' after a key, not '1' [F:1:6]"),
        ('{"a": 1 "b": 2}', "file must be JSON with ',' or '}' here, not '\"' [F:1:9]"),
        ('{"a": [1, 2}', "file must be JSON with ',' or ']' here, not '}' [F:1:12]"),
        ('{"a": 1}\n{}', "file must be JSON with one value only, not '{' [F:2:1]"),
        ('{\n "a": NaN}', "file must be JSON with a value here, not 'NaN' [F:2:7]"),
        ('{"a": -Infinity}', "file must be JSON with a value here, not '-Infinity' [F:1:7]"),
        ('{"a": 01}', "file must be JSON with a value here, not '01' [F:1:7]"),
        ('{"a": 1e999}', "number must be finite, not 1e999 [F:1:7]"),
        ('{"a": True}', "file must be JSON with a value here, not 'True' [F:1:7]"),
        (
            "{'a': 1}",
            'file must be JSON with a key in double quotes here, not "\'" [F:1:2] '
            "(JSON has double quotes only)",
        ),
        (
            "// c\n{}",
            "file must be JSON with a value here, not '/' [F:1:1] (JSON has no comments)",
        ),
        ('{"a": "b', "file must be JSON: unterminated string [F:1:7]"),
        ('{"a": 1,\n "a": 2}', "key must be unique, not 'a' again [F:2:2] (first in line 1)"),
        ("[]", "model must be a JSON object (a Hugging Face config.json), not a list [F:1:1]"),
        ("[" * 100, "nesting must be at most 64 deep [F:1:66]"),
        ('{"a": ' + "9" * 41 + "}", "number must have at most 40 characters, not 41 [F:1:7]"),
        (b"\xff\xfe{\x00", "file must be UTF-8, not UTF-16 [F]"),
    ],
)
def test_what_is_not_json_is_refused(tmp_path: Path, text: str | bytes, expected: str) -> None:
    file = write(tmp_path, text)
    assert message(file) == expected.replace("[F", f"[{file}")


def test_unknown_names_and_unreadable_paths(tmp_path: Path) -> None:
    for name, expected in (
        ("llama3-8b", "did you mean 'llama-3-8b'?"),
        ("Qwen2.5-32B", "did you mean 'qwen2.5-32b'?"),
        ("zzz", "`pamsim models` lists the presets"),
        ("", "model must be a preset or a config.json, not ''"),
    ):
        with pytest.raises(InputError) as caught:
            load_model(name)
        assert expected in str(caught.value)
    assert "model directory must hold a config.json" in message(tmp_path)
    (tmp_path / "config.json").mkdir()
    assert "file must be readable: Is a directory" in message(tmp_path)
