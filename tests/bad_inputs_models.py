"""Bad inputs: models and the workload that they are asked for."""

from __future__ import annotations

import json

from bad_inputs import MODEL, RUN, Bad, content, fields, option

MISTRAL = {"architectures": ["MistralForCausalLM"], "model_type": "mistral"}
NO_MODEL = "model must be a preset or a config.json, not "

MODELS: dict[str, Bad] = {
    # fields of a config.json; model.json has a field a line, from line 2
    "KV heads above heads": fields(
        "num_key_value_heads must divide num_attention_heads = 4, not 8 [model.json:10:25]",
        num_key_value_heads=8,
    ),
    "KV heads that do not divide the heads": fields(
        "num_key_value_heads must divide num_attention_heads = 4, not 3 [model.json:10:25]",
        num_key_value_heads=3,
    ),
    "no heads": fields(
        "num_attention_heads must be between 1 and 16384, not 0 [model.json:9:25]",
        num_attention_heads=0,
    ),
    "negative size": fields(
        "hidden_size must be between 1 and 1048576, not -256 [model.json:6:17]", hidden_size=-256
    ),
    "huge size": fields(
        "hidden_size must be between 1 and 1048576, not 1000000000000000000 [model.json:6:17]",
        hidden_size=10**18,
    ),
    "size as text": fields(
        'hidden_size must be an integer, not "256" [model.json:6:17]', hidden_size="256"
    ),
    "size as a list": fields(
        "hidden_size must be an integer, not a list [model.json:6:17]", hidden_size=[256]
    ),
    "fraction of a size": fields(
        "hidden_size must be an integer, not 256.0 [model.json:6:17]", hidden_size=256.0
    ),
    "truth for a count": fields(
        "num_hidden_layers must be an integer, not true [model.json:8:23]", num_hidden_layers=True
    ),
    "null for a count": fields(
        "vocab_size must be an integer, not null [model.json:11:16]", vocab_size=None
    ),
    "field left out": fields(
        "num_hidden_layers must be given [model.json:1:1]", num_hidden_layers=...
    ),
    "window of no token": fields(
        "sliding_window must be null or a positive integer, not 0 [model.json:14:20]",
        **MISTRAL,
        sliding_window=0,
    ),
    "window of a model without": fields(
        "sliding_window must be null for LlamaForCausalLM, which has no windows, not 64 "
        "[model.json:14:20]",
        sliding_window=64,
    ),
    "encoder": fields(
        "architectures must be one of ..., not BertForMaskedLM [model.json:3:3]...",
        architectures=["BertForMaskedLM"],
    ),
    "encoder and decoder": fields(
        "architectures must be one of ..., not T5ForConditionalGeneration [model.json:3:3] "
        "(cross-attention to an encoder: not modelled)",
        architectures=["T5ForConditionalGeneration"],
    ),
    "architecture that is misspelt": fields(
        "architectures must be one of ..., not LamaForCausalLM [model.json:3:3] "
        "(did you mean 'LlamaForCausalLM'?)",
        architectures=["LamaForCausalLM"],
    ),
    "architecture with a Cyrillic a": fields(
        "architectures must be one of ..., not Ll\u0430maForCausalLM [model.json:3:3] "
        "(did you mean 'LlamaForCausalLM'?)",
        architectures=["Ll\u0430maForCausalLM"],
    ),
    "architecture without end": fields(
        "architectures must be one of ..., not AAAAAAAAAA... [model.json:3:3]",
        architectures=["A" * 100_000],
    ),
    "architectures left out": fields(
        "architectures must be given [model.json:1:1]", architectures=...
    ),
    "model type of another": fields(
        "model_type must be 'llama' for LlamaForCausalLM, not \"mistral\" [model.json:5:16]",
        model_type="mistral",
    ),
    "dtype that is none": fields(
        "torch_dtype must be one of float16, bfloat16, float32, not ... [model.json:13:17]",
        torch_dtype="\U0001f600" * 100,
    ),
    "quantized weights": fields(
        'quantization_config must be null or of quant_method fp8, not "gptq" [model.json:14:25] '
        "(other quantized weights are not modelled)",
        quantization_config={"quant_method": "gptq", "bits": 4},
    ),
    "head wider than a row": fields(
        "head_dim of model must be at most 512, a row of 1024 B, not 4096", head_dim=4096
    ),
    # files that are no config.json
    "empty model": content(
        "file must be JSON with a value here, not the end of the file [model.json:1:1]", ""
    ),
    "list for a model": content(
        "model must be a JSON object (a Hugging Face config.json), not a list [model.json:1:1]",
        "[]",
    ),
    "JSON with a comment": content(
        "file must be JSON with a key in double quotes here, not '/' [model.json:2:2] "
        "(JSON has no comments)",
        '{"hidden_size": 1,\n // a comment\n "vocab_size": 2}',
    ),
    "JSON with a trailing comma": content(
        "file must be JSON with a key in double quotes here, not '}' [model.json:1:19] "
        "(JSON has no comma before a closing bracket)",
        '{"hidden_size": 1,}',
    ),
    "JSON in single quotes": content(
        'file must be JSON with a key in double quotes here, not "\'" [model.json:1:2] '
        "(JSON has double quotes only)",
        "{'hidden_size': 1}",
    ),
    "two JSON documents": content(
        "file must be JSON with one value only, not '{' [model.json:2:1]", '{"a": 1}\n{"a": 2}'
    ),
    "half a JSON document": content(
        "file must be JSON: unterminated string [model.json:1:55]", json.dumps(MODEL)[:60]
    ),
    "duplicate key in JSON": content(
        "key must be unique, not 'hidden_size' again [model.json:2:2] (first in line 1)",
        '{"hidden_size": 1,\n "hidden_size": 2}',
    ),
    "NaN in JSON": content(
        "file must be JSON with a value here, not 'NaN' [model.json:1:17]", '{"hidden_size": NaN}'
    ),
    "more than a float holds in JSON": content(
        "number must be finite, not 1e999 [model.json:1:17]", '{"hidden_size": 1e999}'
    ),
    "number of 5000 digits": content(
        "number must have at most 40 characters, not 5000 [model.json:1:17]",
        '{"hidden_size": ' + "9" * 5000 + "}",
    ),
    "JSON of 100000 brackets": content(
        "nesting must be at most 64 deep [model.json:1:66]", "[" * 100_000
    ),
    "UTF-16": content(
        "file must be UTF-8, not UTF-16 [model.json]", json.dumps(MODEL).encode("utf-16")
    ),
    "Latin-1": content(
        "file must be UTF-8, not a byte 0xe9 [model.json:1:7]", '{"a": \xe9}'.encode("latin-1")
    ),
    "picture": content(
        "file must be UTF-8, not a byte 0x89 [model.json:1:1]", b"\x89PNG\r\n\x1a\n" + bytes(100)
    ),
    "5 MiB of JSON": content(
        "file must be at most 4194304 B, not longer [model.json]", b"[" + b"1," * (5 << 19)
    ),
    # names of models
    "model that is none": Bad(
        f"{NO_MODEL}'none.json' (`pamsim models` lists the presets)", "run --model none.json"
    ),
    "model that is misspelt": Bad(
        f"{NO_MODEL}'llama-3-8c' (did you mean 'llama-3-8b'?)", "run --model llama-3-8c"
    ),
    "model without a name": Bad(f"{NO_MODEL}''...", "run --model ''"),
    "model of 5000 letters": Bad(f"{NO_MODEL}'xxxxxxxxxx...", f"run --model {'x' * 5000}"),
    "directory without a model": Bad(
        "model directory must hold a config.json [folder]",
        "run --model folder",
        files={"folder/notes": ""},
    ),
    "model from a device without end": Bad(
        "file must be at most 4194304 B, not longer [/dev/zero]", "run --model /dev/zero"
    ),
    # the workload
    "context of no token": option(
        "context must be between 1 and 1073741824, not 0", "--context 0"
    ),
    "negative context": option("context must be between 1 and 1073741824, not -5", "--context -5"),
    "context in words": option(
        "context must be a whole number of tokens, not '8k'", "--context 8k"
    ),
    "context in Arabic digits": option(
        "context must be a whole number of tokens, not '٦٤'", "--context ٦٤"
    ),
    "context with a hole": option(
        "context must be a whole number of tokens, not ''", "--context 1,,2"
    ),
    "huge context": option(
        "context must be between 1 and 1073741824, not 99999999999999999999",
        "--context 99999999999999999999",
    ),
    "3000 contexts with one fault": option(
        "context must be between 1 and 1073741824, not 0", f"--context {','.join(['0'] * 3000)}"
    ),
    "contexts unlike the batch": option(
        "batch must be 2, the number of contexts listed, or left out, not 3",
        "--context 64,128 --batch 3",
    ),
    "no requests": option("batch must be between 1 and 1048576, not 0", "--batch 0"),
    "huge batch": option("batch must be between 1 and 1048576, not 99999999999",
                         "--batch 99999999999"),
    "batch in words": option("Invalid value for '--batch': 'two' is not a valid integer.",
                             "--batch two", 2),
    "KV dtype that is none": option(
        "Invalid value for '--kv-dtype': 'int3' is not one of 'fp16', 'bf16', 'fp8', ...",
        "--kv-dtype int3",
        2,
    ),
    "weights beyond the capacity": Bad(
        "weights of opt-175b must fit tier 'hbm' of 80.00 GiB, not need 325.15 GiB: "
        "245.15 GiB too much (more devices, or another weights_tier)",
        "run --model opt-175b --context 10",
    ),
    "KV cache beyond the capacity": Bad(
        # 2^20 tokens x 128 KiB are 128 GiB, beside 14.96 GiB of weights in 80 GiB
        "KV cache of llama-3-8b must fit the 65.04 GiB that tier 'hbm' has beside 14.96 GiB of "
        "weights, not need 128.00 GiB: 62.96 GiB or ... tokens too much "
        "(a smaller batch, shorter contexts or more devices)",
        f"{RUN.replace('model.json', 'llama-3-8b')} --context 1048576",
    ),
}  # fmt: skip
